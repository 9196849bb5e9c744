//! The client authentication of a restored cluster: as open as WAL-G makes it, for the cluster's own hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use formats::ContentId;

use super::Error;

/// The same for every segment; the operator replaces it once the cluster stands.
const HEAD: &str = "\
# Written by the restore of a backup: lets in the hosts of the restored cluster.
# TYPE  DATABASE        USER            ADDRESS                 METHOD
local   all             all                                     trust
host    all             all             127.0.0.1/24            trust
host    all             all             ::1/128                 trust
host    all             all             localhost               trust
";

/// Words with a meaning of their own among users and among addresses.
const KEYWORDS: [&str; 7] = ["all", "sameuser", "samerole", "samegroup", "replication", "samehost", "samenet"];

/// Text of pg_hba.conf. `hosts`: of every restored primary and the coordinator, names or literal addresses. `replicas`: of
/// mirrors and, with the coordinator's content id, of the standby that are to be made of them. `user`: the
/// database's superuser as whom agents connect, usually `gpadmin`.
pub fn pg_hba(
    hosts: &BTreeMap<ContentId, String>,
    replicas: &[(ContentId, String)],
    user: &str,
) -> Result<String, Error> {
    let user = user_token(user)?;
    let coordinator = hosts.get(&ContentId::COORDINATOR).ok_or(Error::NoCoordinator)?;
    let mut text = HEAD.to_owned();
    text.push_str(&line("all", "all", &address(ContentId::COORDINATOR, coordinator)?));
    for (content, host) in replicas.iter().filter(|(content, _)| *content == ContentId::COORDINATOR) {
        text.push_str(&line("all", "all", &address(*content, host)?));
    }
    let primaries = addresses(
        hosts
            .iter()
            .filter(|(content, _)| **content != ContentId::COORDINATOR)
            .chain(replicas.iter().map(|(content, host)| (content, host))),
    )?;
    for address in &primaries {
        text.push_str(&line("all", &user, address));
    }
    text.push_str(&line("replication", &user, "samehost"));
    for address in &primaries {
        text.push_str(&line("replication", &user, address));
    }
    Ok(text)
}

/// Each once, where it comes first.
fn addresses<'a>(hosts: impl Iterator<Item = (&'a ContentId, &'a String)>) -> Result<Vec<String>, Error> {
    let mut seen = BTreeSet::new();
    let mut addresses = Vec::new();
    for (content, host) in hosts {
        let address = address(*content, host)?;
        if seen.insert(address.clone()) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn line(database: &str, user: &str, address: &str) -> String {
    format!("host    {database:<15} {user:<15} {address:<23} trust\n")
}

/// A host name, or a literal address with the mask of a single host. Marks that mean something in pg_hba.conf are
/// refused, a leading dot (a whole domain) among them.
fn address(content: ContentId, host: &str) -> Result<String, Error> {
    match host.parse() {
        Ok(IpAddr::V4(address)) => return Ok(format!("{address}/32")),
        Ok(IpAddr::V6(address)) => return Ok(format!("{address}/128")),
        Err(_) => {}
    }
    let is_name = host.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if !is_name {
        return Err(Error::InvalidHost { content, host: host.to_owned() });
    }
    Ok(if KEYWORDS.contains(&host) { format!("\"{host}\"") } else { host.to_owned() })
}

/// Quoted where it would mean something else bare: a keyword, a role's members (`+`), a file (`@`), several names (`,`).
fn user_token(user: &str) -> Result<String, Error> {
    let invalid = |why| Error::InvalidUser { user: user.to_owned(), why };
    if user.is_empty() {
        return Err(invalid("it is empty"));
    }
    if user.contains(|c: char| c.is_control() || c == '"') {
        return Err(invalid("it contains a quote or a control character"));
    }
    let is_plain = user.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    Ok(if is_plain && !KEYWORDS.contains(&user) { user.to_owned() } else { format!("\"{user}\"") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(hosts: &[(i32, &str)]) -> BTreeMap<ContentId, String> {
        hosts.iter().map(|(content, host)| (ContentId(*content), (*host).to_owned())).collect()
    }

    fn lines(cluster: &[(i32, &str)], user: &str) -> Vec<String> {
        let text = pg_hba(&hosts(cluster), &[], user).unwrap();
        assert!(text.starts_with(HEAD) && text.ends_with('\n'));
        text[HEAD.len()..].lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn hosts_of_replicas_are_let_in() {
        let replicas = [(-1, "smdw"), (0, "sdw2"), (1, "sdw1")].map(|(id, host)| (ContentId(id), host.to_owned()));
        let text = pg_hba(&hosts(&[(-1, "mdw"), (0, "sdw1"), (1, "sdw2")]), &replicas, "gpadmin").unwrap();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<_> = text[HEAD.len()..].lines().map(words).collect();
        assert_eq!(lines[..2], ["host all all mdw trust", "host all all smdw trust"]);
        for host in ["sdw1", "sdw2", "smdw"] {
            for database in ["all", "replication"] {
                let line = format!("host {database} gpadmin {host} trust");
                assert_eq!(lines.iter().filter(|found| **found == line).count(), 1, "{line}");
            }
        }
    }

    #[test]
    fn hosts_in_the_order_of_their_contents() {
        let cluster = [(2, "sdw1"), (10, "sdw3"), (0, "sdw2"), (-1, "mdw"), (1, "sdw2"), (3, "mdw")];
        let expected = [
            "host all all mdw trust",
            "host all gpadmin sdw2 trust",
            "host all gpadmin sdw1 trust",
            "host all gpadmin mdw trust",
            "host all gpadmin sdw3 trust",
            "host replication gpadmin samehost trust",
            "host replication gpadmin sdw2 trust",
            "host replication gpadmin sdw1 trust",
            "host replication gpadmin mdw trust",
            "host replication gpadmin sdw3 trust",
        ];
        assert_eq!(lines(&cluster, "gpadmin"), expected);
    }

    #[test]
    fn addresses_get_the_mask_of_one_host() {
        let cluster = [(-1, "192.168.1.1"), (0, "fd00::2"), (1, "fd00:0::2"), (2, "10.0.0.3")];
        let expected = [
            "host all all 192.168.1.1/32 trust",
            "host all dba fd00::2/128 trust",
            "host all dba 10.0.0.3/32 trust",
            "host replication dba samehost trust",
            "host replication dba fd00::2/128 trust",
            "host replication dba 10.0.0.3/32 trust",
        ];
        assert_eq!(lines(&cluster, "dba"), expected);
    }

    #[test]
    fn no_name_can_mean_more_than_itself() {
        assert_eq!(lines(&[(-1, "all")], "all")[0], "host all all \"all\" trust");
        assert_eq!(lines(&[(-1, "mdw")], "all")[1], "host replication \"all\" samehost trust");
        assert_eq!(lines(&[(-1, "mdw")], "+dba,x")[1], "host replication \"+dba,x\" samehost trust");
        for host in
            ["", "a b", "a\nhost all all all trust", ".example.org", "a,b", "\"a\"", "a#", "10.0.0.0/8", "fe80::1%e"]
        {
            let error = pg_hba(&hosts(&[(-1, "mdw"), (0, host)]), &[], "gpadmin").unwrap_err().to_string();
            assert!(error.contains(&format!("{host:?}")) && error.contains("content 0"), "{error}");
        }
        for user in ["", "a\"b", "a\nb"] {
            assert!(matches!(pg_hba(&hosts(&[(-1, "mdw")]), &[], user), Err(Error::InvalidUser { .. })), "{user:?}");
        }
        assert!(matches!(pg_hba(&hosts(&[(0, "sdw1")]), &[], "gpadmin"), Err(Error::NoCoordinator)));
    }
}
