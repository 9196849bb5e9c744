//! Ways into a real server: socket, TCP, passwords, password and service files, TLS, utility mode.

#![allow(clippy::unwrap_used)]

mod rig;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use pgclient::{ErrorKind, Server, UtilityMode};
use rig::TestServer;

const HBA: &str = "host all scram 127.0.0.1/32 scram-sha-256\nhost all md5 127.0.0.1/32 md5\n\
                   hostssl all tls 127.0.0.1/32 trust\nhostnossl all plain 127.0.0.1/32 trust";

async fn server_with_roles(conf: &str) -> TestServer {
    let server = TestServer::start(HBA, conf).await;
    let sql = "CREATE ROLE scram LOGIN PASSWORD 'hush:\\x'; SET password_encryption = md5; \
               CREATE ROLE md5 LOGIN PASSWORD 'hush'; CREATE ROLE tls LOGIN; CREATE ROLE plain LOGIN";
    server.connect().await.rows("making roles", sql).await.unwrap();
    server
}

async fn connect(server: &TestServer, vars: &[(&str, &str)]) -> Result<Server, pgclient::Error> {
    let mut all = vec![("PGHOST", "127.0.0.1")];
    all.retain(|(name, _)| !vars.iter().any(|(given, _)| given == name));
    all.extend(vars);
    Server::connect(&server.options(&all)).await
}

#[tokio::test]
async fn passwords_and_files() {
    let server = server_with_roles("").await;
    let socket = server.connect().await;
    assert!(socket.address().ends_with(&format!(".s.PGSQL.{}", server.port)));
    assert!((150000..160000).contains(&socket.version_num()));

    for (user, password) in [("scram", "hush:\\x"), ("md5", "hush")] {
        let tcp =
            connect(&server, &[("PGUSER", user), ("PGPASSWORD", password), ("PGAPPNAME", "an application")]).await;
        let tcp = tcp.unwrap();
        assert_eq!(tcp.address(), format!("127.0.0.1:{}", server.port));
        assert_eq!(tcp.setting("application_name").await.unwrap().as_deref(), Some("an application"));
        for wrong in ["secret-word", ""] {
            let error = connect(&server, &[("PGUSER", user), ("PGPASSWORD", wrong)]).await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("secret-word") && shown.contains("127.0.0.1") && shown.contains(user), "{shown}");
            assert_eq!(error.kind(), ErrorKind::Denied, "{shown}");
        }
    }
    let shown = format!("{:?}", server.options(&[("PGPASSWORD", "secret-word")]));
    assert!(shown.contains("***") && !shown.contains("secret-word"), "{shown}");

    let line = format!("127.0.0.1:{}:*:scram:hush\\:\\\\x\n", server.port);
    server.write(".pgpass", &line);
    assert!(connect(&server, &[("PGUSER", "scram")]).await.is_ok(), "the password file in the home directory");
    let passfile = server.write("other", "*:*:postgres:md5:hush\n");
    let vars = [("PGUSER", "md5"), ("PGPASSFILE", passfile.to_str().unwrap())];
    assert!(connect(&server, &vars).await.is_ok(), "PGPASSFILE");
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(connect(&server, &vars).await.is_err(), "a password file that others may read");

    let service = format!("[lab]\nhost=127.0.0.1\nport={}\nuser=md5\npassword=hush\ndbname=template1\n", server.port);
    let file = server.write("services", &service);
    let vars = [("PGSERVICE", "lab"), ("PGSERVICEFILE", file.to_str().unwrap()), ("PGUSER", "nobody")];
    let by_service = connect(&server, &vars).await.unwrap();
    let database = by_service.rows("asking", "SELECT current_database()").await.unwrap();
    assert_eq!(database, [[Some("template1".to_owned())]]);
}

#[tokio::test]
async fn hosts_and_utility_mode() {
    let server = server_with_roles("").await;
    let port = server.port.to_string();
    let hosts =
        [("PGHOST", "/nonexistent,127.0.0.1"), ("PGPORT", &port), ("PGUSER", "plain"), ("PGSSLMODE", "disable")];
    assert_eq!(connect(&server, &hosts).await.unwrap().address(), format!("127.0.0.1:{port}"));
    let none = connect(&server, &[("PGHOST", "/nonexistent,127.0.0.1"), ("PGPORT", "1,2")]).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Unreachable);
    assert!(none.to_string().contains("/nonexistent/.s.PGSQL.1") && none.to_string().contains("127.0.0.1:2"), "{none}");

    let read_only =
        connect(&server, &[("PGUSER", "plain"), ("PGSSLMODE", "disable"), ("PGTARGETSESSIONATTRS", "read-only")]);
    assert_eq!(read_only.await.unwrap_err().kind(), ErrorKind::Unreachable);

    // No Greenplum here: both spellings are refused, the plain session works.
    for mode in [UtilityMode::No, UtilityMode::GpRole, UtilityMode::GpSessionRole] {
        let options = server.options(&[]).with_utility_mode(mode);
        assert_eq!(Server::connect(&options).await.is_ok(), mode == UtilityMode::No);
        assert!(Server::connect_segment(&options).await.is_ok(), "{mode:?}");
    }
    let elsewhere = server.options(&[]).with_database("nowhere").with_utility_mode(UtilityMode::GpRole);
    let error = Server::connect_segment(&elsewhere).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let lookup = |name: &str| match name {
        "PGHOST" => Some("127.0.0.1".to_owned()),
        "PGPORT" => Some(port.clone()),
        _ => None,
    };
    let options = pgclient::ConnectOptions::from_lookup(&lookup).unwrap();
    let options = options.with_connect_timeout(std::time::Duration::from_millis(200));
    let error = Server::connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}: no answer within 0.2 s")), "{error}");
}

#[tokio::test]
async fn encryption_and_what_it_verifies() {
    let server = server_with_roles("").await;
    certificates(&server);
    let sql = format!(
        "ALTER SYSTEM SET ssl_cert_file = '{0}/leaf.crt'; ALTER SYSTEM SET ssl_key_file = '{0}/leaf.key';",
        server.folder().display()
    );
    let session = server.connect().await;
    for statement in sql.split_inclusive(';').chain(["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"]) {
        session.rows("configuring", statement).await.unwrap();
    }
    let folder = server.folder().to_path_buf();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let works = async |user: &str, host: &str, mode: &str, root: &str| {
        let root = file(root);
        let vars = [("PGUSER", user), ("PGHOST", host), ("PGSSLMODE", mode), ("PGSSLROOTCERT", root.as_str())];
        connect(&server, &vars).await.map(drop)
    };
    // Sessions of the user "tls" must be encrypted, those of "plain" must not.
    while works("tls", "127.0.0.1", "verify-ca", "ca.crt").await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for (user, host, mode, root, expected) in [
        ("tls", "127.0.0.1", "disable", "none", false),
        ("plain", "127.0.0.1", "disable", "none", true),
        ("tls", "127.0.0.1", "allow", "none", true),
        ("tls", "127.0.0.1", "prefer", "none", true),
        ("plain", "127.0.0.1", "prefer", "none", true),
        ("plain", "127.0.0.1", "require", "none", false),
        ("tls", "127.0.0.1", "require", "none", true),
        ("tls", "127.0.0.1", "require", "other.crt", false),
        ("tls", "127.0.0.1", "verify-ca", "other.crt", false),
        ("tls", "127.0.0.1", "verify-ca", "none", false),
        ("tls", "127.0.0.1", "verify-full", "ca.crt", false),
        ("tls", "localhost", "verify-full", "ca.crt", true),
        ("tls", "localhost", "verify-full", "leaf.crt", true),
        ("tls", "127.0.0.1", "verify-full", "leaf.crt", false),
    ] {
        let result = works(user, host, mode, root).await;
        assert_eq!(result.is_ok(), expected, "{user} {host} {mode} {root}: {result:?}");
    }
    let scram = [("PGUSER", "scram"), ("PGPASSWORD", "hush:\\x"), ("PGSSLMODE", "require")];
    assert!(connect(&server, &scram).await.is_ok(), "SCRAM with channel binding");
}

/// ca.crt; leaf.crt for localhost, signed by it, with leaf.key; other.crt, which signed nothing.
fn certificates(server: &TestServer) {
    let openssl = |args: &str| {
        let run = Command::new("openssl").args(args.split(' ')).current_dir(server.folder()).output().unwrap();
        assert!(run.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&run.stderr));
    };
    for name in ["ca", "other"] {
        openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {name}.key -out {name}.crt -subj /CN={name}"
        ));
    }
    openssl("req -newkey rsa:2048 -nodes -keyout leaf.pem -out leaf.csr -subj /CN=localhost");
    server.write("leaf.ext", "subjectAltName=DNS:localhost");
    openssl("x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile leaf.ext -out leaf.crt");
    let key = std::fs::read_to_string(server.folder().join(Path::new("leaf.pem"))).unwrap();
    server.write("leaf.key", &key);
}
