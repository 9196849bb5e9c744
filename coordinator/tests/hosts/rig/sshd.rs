//! OpenSSH's sshd with a folder of its own for keys, configuration, log and home.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use coordinator::host::{Host, HostName, SshOptions};
use nix::unistd::{Gid, Uid, User, chown, getuid};

const START_LIMIT: Duration = Duration::from_secs(20);

pub struct Sshd {
    server: Server,
    folder: tempfile::TempDir,
    user: User,
    pub port: u16,
}

impl Sshd {
    /// Has host keys `host_ed25519` and `host_rsa`; lets `user_ed25519` and `user_rsa` in, not `stranger`.
    pub fn start() -> Self {
        let user = unprivileged_user();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("home")).unwrap();
        for (name, kind) in [
            ("host_ed25519", "ed25519"),
            ("host_rsa", "rsa"),
            ("user_ed25519", "ed25519"),
            ("user_rsa", "rsa"),
            ("stranger", "ed25519"),
        ] {
            make_key(&path(name), kind);
        }
        let authorized = ["user_ed25519.pub", "user_rsa.pub"].map(|name| fs::read_to_string(path(name)).unwrap());
        fs::write(path("authorized_keys"), authorized.concat()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(path("sshd_config"), server_config(folder.path(), port)).unwrap();
        give_to(folder.path(), &user);

        let log = fs::File::create(path("log")).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(path("sshd_config"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        if getuid().is_root() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let server = Server(command.spawn().expect("sshd (package openssh-server)"));
        let mut sshd = Self { server, folder, user, port };
        sshd.wait_until_it_listens();
        sshd
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the host's user.
    pub fn in_home(&self, name: &str) -> PathBuf {
        self.path("home").join(name)
    }

    /// Makes everything below the home the user's.
    pub fn give_home(&self) {
        give_to(&self.path("home"), &self.user);
    }

    /// What a client needs: the key that logs in, and the lines of known_hosts.
    pub fn client(&self, key: &str, known_hosts: &str) -> Client {
        let client = Client { folder: tempfile::tempdir().unwrap() };
        fs::write(client.path("known_hosts"), known_hosts).unwrap();
        let text = format!(
            "Host direct\n ProxyJump none\nHost jumped\n ProxyJump direct\nHost *\n HostName 127.0.0.1\n Port {}\n User {}\n \
             IdentityFile {}\n IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile {}\n GlobalKnownHostsFile none\n \
             StrictHostKeyChecking yes\n",
            self.port,
            self.user.name,
            self.path(key).display(),
            client.path("known_hosts").display()
        );
        fs::write(client.path("config"), text).unwrap();
        client
    }

    /// A line of known_hosts for the key `key` of this server, seen at `port`.
    pub fn known(&self, key: &str, port: u16) -> String {
        let public = fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
        format!("[127.0.0.1]:{port} {public}")
    }

    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.server.0.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{}", fs::read_to_string(self.path("log")).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A child process that ends with its owner.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real ssh-agent that holds one key.
pub struct KeyAgent {
    _server: Server,
    pub socket: PathBuf,
}

impl KeyAgent {
    pub fn holding(key: &Path, socket: PathBuf) -> Self {
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
        let mut server = Server(command.spawn().expect("ssh-agent (package openssh-client)"));
        let deadline = Instant::now() + START_LIMIT;
        while UnixStream::connect(&socket).is_err() {
            assert!(server.0.try_wait().unwrap().is_none() && Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(10));
        }
        let added = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket).status();
        assert!(added.unwrap().success());
        Self { _server: server, socket }
    }
}

/// An ssh configuration and a known_hosts file.
pub struct Client {
    folder: tempfile::TempDir,
}

impl Client {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn options(&self) -> SshOptions {
        SshOptions { config_file: Some(self.path("config")), ..SshOptions::default() }
    }

    pub fn host(&self) -> Host {
        Host::ssh(HostName("sdw1".into()), self.options())
    }

    /// Lines to add before all others: ssh takes the first value it finds.
    pub fn configure_first(&self, lines: &str) {
        let text = fs::read_to_string(self.path("config")).unwrap();
        fs::write(self.path("config"), format!("{lines}\n{text}")).unwrap();
    }
}

fn server_config(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_ed25519\nHostKey {folder}/host_rsa\nPidFile none\n\
         AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\nSetEnv HOME={folder}/home\n"
    )
}

fn make_key(path: &Path, kind: &str) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-C", "test", "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen (package openssh-client)").success());
}

/// The user that sshd runs as: ourselves, or `damson-test` if we are root.
fn unprivileged_user() -> User {
    static MADE: OnceLock<()> = OnceLock::new();
    if !getuid().is_root() {
        return User::from_uid(getuid()).unwrap().unwrap();
    }
    MADE.get_or_init(|| {
        if User::from_name("damson-test").unwrap().is_none() {
            // Another test binary may be faster; what counts is that the user is there.
            let _ = Command::new("useradd").args(["--system", "--shell", "/bin/sh", "damson-test"]).status();
        }
    });
    User::from_name("damson-test").unwrap().expect("the user damson-test")
}

fn give_to(path: &Path, user: &User) {
    if getuid().is_root() {
        let (uid, gid): (Uid, Gid) = (user.uid, user.gid);
        chown(path, Some(uid), Some(gid)).unwrap();
    }
    if path.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        for entry in fs::read_dir(path).unwrap() {
            give_to(&entry.unwrap().path(), user);
        }
    }
}
