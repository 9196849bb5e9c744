//! Whether the holder of a lease has certainly ended.
//!
//! A process is named by the boot of its system, its process namespace, its id and its start. Only a process of the same boot
//! and namespace may judge: anywhere else the same number is somebody else, and a host name says nothing in containers.

use std::fs;

/// The name of this process; empty where it cannot be found out.
pub fn this() -> String {
    identity(std::process::id()).unwrap_or_default()
}

/// True only if the process of that name surely runs no more.
pub fn has_ended(name: &str) -> bool {
    let Some((system, process)) = name.rsplit_once('/').and_then(|(rest, start)| {
        let (system, pid) = rest.rsplit_once('/')?;
        Some((system, (pid.parse::<u32>().ok()?, start)))
    }) else {
        return false;
    };
    // Where other users' processes are hidden, an absent one may well run.
    if system_name().as_deref() != Some(system) || fs::read("/proc/1/stat").is_err() {
        return false;
    }
    match fs::read_to_string(format!("/proc/{}/stat", process.0)) {
        Ok(stat) => start_of(&stat).is_some_and(|start| start != process.1) || is_zombie(&stat),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn identity(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(format!("{}/{pid}/{}", system_name()?, start_of(&stat)?))
}

/// The running system and the namespace in which process ids mean the same: `<boot id>/<inode>`.
fn system_name() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let inode: String = namespace.to_str()?.chars().filter(char::is_ascii_digit).collect();
    Some(format!("{}/{inode}", boot.trim()))
}

/// Field 22 of /proc/PID/stat. The name of the program, field 2, may hold anything but ends with the last parenthesis.
fn start_of(stat: &str) -> Option<&str> {
    after_name(stat).split_whitespace().nth(19)
}

fn is_zombie(stat: &str) -> bool {
    after_name(stat).split_whitespace().next() == Some("Z")
}

fn after_name(stat: &str) -> &str {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ended_process_of_this_system_has_ended() {
        let name = this();
        assert!(!name.is_empty() && !has_ended(&name));
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let child_name = identity(child.id()).unwrap();
        assert!(!has_ended(&child_name));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(&child_name));

        let other_start = format!("{}0", name);
        assert!(has_ended(&other_start), "the number was given to another process");
        let other_boot = child_name.replacen(|c: char| c.is_ascii_hexdigit(), "x", 1);
        for unknown in ["", "x", "a/b", "a/b/c/d", &other_boot] {
            assert!(!has_ended(unknown), "{unknown:?}");
        }
    }

    #[test]
    fn names_of_programs_do_not_matter() {
        let stat = "7 (a) b (c)) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert!(is_zombie(stat));
        assert_eq!(start_of(stat), Some("4242"));
        assert_eq!(start_of("7 (x) R 1"), None);
    }
}
