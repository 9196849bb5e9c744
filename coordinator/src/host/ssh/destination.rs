//! What to connect to, with which keys: the answer of `ssh -G`, or ssh's defaults where there is no ssh.
//!
//! Asking ssh itself gives the user's whole configuration (Include, Match, canonical names) without reading it here.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::host::{Error, HostKeyPolicy, HostName, SshOptions};

/// A resolved host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub host: HostName,
    /// HostName of the configuration: a name or address to connect to.
    pub address: String,
    pub port: u16,
    pub user: String,
    pub host_key_alias: Option<String>,
    pub identity_files: Vec<PathBuf>,
    pub identities_only: bool,
    /// Socket of the key agent; `None`: use no agent.
    pub agent_socket: Option<PathBuf>,
    pub user_known_hosts: Vec<PathBuf>,
    pub global_known_hosts: Vec<PathBuf>,
    pub host_keys: HostKeyPolicy,
    /// For `sh -c`, ready to run.
    pub proxy_command: Option<String>,
}

/// Asks ssh about `host`.
pub(super) async fn resolve(host: &HostName, options: &SshOptions) -> Result<Destination, Error> {
    let refused = |why: String| Error::SshConfig { host: host.clone(), why };
    if host.0.is_empty() || host.0.starts_with('-') || host.0.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(refused("this is not a host name".into()));
    }
    let mut command = Command::new("ssh");
    if let Some(file) = &options.config_file {
        command.arg("-F").arg(file);
    }
    if let Some(user) = &options.user {
        command.args(["-l", user]);
    }
    if let Some(port) = options.port {
        command.args(["-p", &port.to_string()]);
    }
    let output = command.args(["-G", "--", &host.0]).stdin(Stdio::null()).kill_on_drop(true).output().await;
    match output {
        Ok(output) if output.status.success() => {
            parse(host, options, &String::from_utf8_lossy(&output.stdout)).map_err(refused)
        }
        Ok(output) => Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match &options.config_file {
            Some(file) => Err(refused(format!("{} is set, but there is no ssh program to read it", file.display()))),
            None => Ok(defaults(host, options)),
        },
        Err(error) => Err(refused(error.to_string())),
    }
}

fn defaults(host: &HostName, options: &SshOptions) -> Destination {
    let in_home = |names: &[&str]| names.iter().map(|name| home().join(".ssh").join(name)).collect();
    Destination {
        host: host.clone(),
        address: host.0.clone(),
        port: options.port.unwrap_or(22),
        user: options.user.clone().unwrap_or_else(current_user),
        host_key_alias: None,
        identity_files: in_home(&["id_rsa", "id_ecdsa", "id_ed25519"]),
        identities_only: false,
        agent_socket: std::env::var_os("SSH_AUTH_SOCK").filter(|v| !v.is_empty()).map(PathBuf::from),
        user_known_hosts: in_home(&["known_hosts", "known_hosts2"]),
        global_known_hosts: vec!["/etc/ssh/ssh_known_hosts".into(), "/etc/ssh/ssh_known_hosts2".into()],
        host_keys: options.host_keys.unwrap_or(HostKeyPolicy::Strict),
        proxy_command: None,
    }
}

/// Reads the `key value` lines of `ssh -G`.
fn parse(host: &HostName, options: &SshOptions, text: &str) -> Result<Destination, String> {
    let mut destination = Destination { identity_files: Vec::new(), ..defaults(host, options) };
    let mut jump = None;
    for line in text.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "hostname" => destination.address = value.to_owned(),
            "port" => destination.port = value.parse().map_err(|_| format!("ssh says the port is {value:?}"))?,
            "user" => destination.user = value.to_owned(),
            "hostkeyalias" => destination.host_key_alias = Some(value.to_owned()).filter(|alias| alias != "none"),
            "identityfile" => destination.identity_files.extend(file_list(value)),
            "identitiesonly" => destination.identities_only = value == "yes",
            "identityagent" => destination.agent_socket = agent_socket(value),
            "userknownhostsfile" => destination.user_known_hosts = file_list(value),
            "globalknownhostsfile" => destination.global_known_hosts = file_list(value),
            "stricthostkeychecking" => {
                destination.host_keys = options.host_keys.unwrap_or_else(|| policy(value));
            }
            "proxycommand" => destination.proxy_command = Some(value.to_owned()).filter(|command| command != "none"),
            "proxyjump" => jump = Some(value.to_owned()).filter(|jump| jump != "none"),
            _ => {}
        }
    }
    destination.proxy_command = match (destination.proxy_command.take(), jump) {
        (Some(command), _) => Some(expand(&command, &destination)?),
        (None, Some(jump)) => Some(jump_command(&jump, options, &destination)),
        (None, None) => None,
    };
    Ok(destination)
}

/// `ask` has nobody to ask and `no` would trust a changed key: the first is strict here, the second takes new keys only.
fn policy(strict_host_key_checking: &str) -> HostKeyPolicy {
    match strict_host_key_checking {
        "accept-new" | "no" | "off" | "false" => HostKeyPolicy::AcceptNew,
        _ => HostKeyPolicy::Strict,
    }
}

fn file_list(value: &str) -> Vec<PathBuf> {
    let files = shlex::split(value).unwrap_or_else(|| vec![value.to_owned()]);
    files.iter().filter(|file| *file != "none").map(|file| expand_home(file)).collect()
}

fn agent_socket(value: &str) -> Option<PathBuf> {
    match value {
        "none" => None,
        "SSH_AUTH_SOCK" => std::env::var_os(value).map(PathBuf::from),
        name if name.starts_with('$') => std::env::var_os(&name[1..]).map(PathBuf::from),
        path => Some(expand_home(path)),
    }
}

fn expand_home(file: &str) -> PathBuf {
    match file.strip_prefix("~/") {
        Some(rest) => home().join(rest),
        None => PathBuf::from(file),
    }
}

/// The percent tokens of ProxyCommand (ssh_config(5), TOKENS) that a connection has.
fn expand(command: &str, destination: &Destination) -> Result<String, String> {
    let mut expanded = String::new();
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => expanded.push('%'),
            Some('h') => expanded.push_str(&destination.address),
            Some('n') => expanded.push_str(&destination.host.0),
            Some('p') => expanded.push_str(&destination.port.to_string()),
            Some('r') => expanded.push_str(&destination.user),
            token => {
                return Err(format!("ProxyCommand holds the token %{}, which is not supported", token.unwrap_or(' ')));
            }
        }
    }
    Ok(expanded)
}

/// What ssh itself runs for ProxyJump: another ssh, with the earlier hops as its own jumps.
fn jump_command(jump: &str, options: &SshOptions, destination: &Destination) -> String {
    let (earlier, last) = match jump.rsplit_once(',') {
        Some((earlier, last)) => (Some(earlier), last),
        None => (None, jump),
    };
    let mut words = vec!["ssh".to_owned()];
    if let Some(file) = &options.config_file {
        words.extend(["-F".to_owned(), file.display().to_string()]);
    }
    if let Some(earlier) = earlier {
        words.extend(["-J".to_owned(), earlier.to_owned()]);
    }
    let last = if last.starts_with("ssh://") { last.to_owned() } else { format!("ssh://{last}") };
    let target = format!("[{}]:{}", destination.address, destination.port);
    words.extend(["-W".to_owned(), target, "--".to_owned(), last]);
    // No word can hold a NUL: they come from lines of text and a path.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}

fn home() -> PathBuf {
    std::env::home_dir().unwrap_or_else(|| Path::new("/").to_owned())
}

fn current_user() -> String {
    match nix::unistd::User::from_uid(nix::unistd::getuid()) {
        Ok(Some(user)) => user.name,
        _ => std::env::var("USER").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostName {
        HostName("sdw1".into())
    }

    #[test]
    fn reads_what_ssh_says() {
        let text = "host sdw1\nuser gpadmin\nhostname 10.0.0.7\nport 2222\nidentitiesonly yes\nidentityfile ~/.ssh/a\n\
                    identityfile /keys/b\nuserknownhostsfile /k/1 /k/2\nglobalknownhostsfile none\n\
                    stricthostkeychecking accept-new\nproxycommand none\nhostkeyalias sdw\nidentityagent none\n";
        let found = parse(&host(), &SshOptions::default(), text).unwrap();
        assert_eq!((found.address.as_str(), found.port, found.user.as_str()), ("10.0.0.7", 2222, "gpadmin"));
        assert_eq!(found.identity_files, [home().join(".ssh/a"), PathBuf::from("/keys/b")]);
        assert_eq!(found.user_known_hosts, [PathBuf::from("/k/1"), PathBuf::from("/k/2")]);
        assert!(found.global_known_hosts.is_empty() && found.identities_only && found.agent_socket.is_none());
        assert_eq!(found.host_keys, HostKeyPolicy::AcceptNew);
        assert_eq!((found.host_key_alias.as_deref(), found.proxy_command), (Some("sdw"), None));
    }

    #[test]
    fn the_settings_win_over_ssh() {
        let options = SshOptions { host_keys: Some(HostKeyPolicy::Strict), ..SshOptions::default() };
        let found = parse(&host(), &options, "stricthostkeychecking false\n").unwrap();
        assert_eq!(found.host_keys, HostKeyPolicy::Strict);
        assert_eq!(policy("ask"), HostKeyPolicy::Strict);
        assert_eq!(policy("true"), HostKeyPolicy::Strict);
        assert_eq!(policy("false"), HostKeyPolicy::AcceptNew);
    }

    #[test]
    fn proxies_become_commands() {
        let text = "hostname 10.0.0.7\nport 22\nuser u\nproxycommand nc -X 5 %h %p %r 100%%\n";
        let found = parse(&host(), &SshOptions::default(), text).unwrap();
        assert_eq!(found.proxy_command.as_deref(), Some("nc -X 5 10.0.0.7 22 u 100%"));
        assert!(parse(&host(), &SshOptions::default(), "proxycommand nc %Q\n").is_err());
        assert!(parse(&host(), &SshOptions::default(), "port many\n").is_err());

        let options = SshOptions { config_file: Some("/etc/a b".into()), ..SshOptions::default() };
        let found = parse(&host(), &options, "hostname 10.0.0.7\nproxyjump one,me@two:23\n").unwrap();
        let words = shlex::split(&found.proxy_command.unwrap()).unwrap();
        assert_eq!(words, ["ssh", "-F", "/etc/a b", "-J", "one", "-W", "[10.0.0.7]:22", "--", "ssh://me@two:23"]);
    }

    #[tokio::test]
    async fn an_option_is_no_host_name() {
        for name in ["-oProxyCommand=true", "", "a b"] {
            assert!(resolve(&HostName(name.into()), &SshOptions::default()).await.is_err(), "{name}");
        }
    }
}
