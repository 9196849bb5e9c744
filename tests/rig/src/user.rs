//! The unprivileged user of the rig. PostgreSQL refuses to run as root, so a rig started by root drops to a user that
//! it creates; any other user is good as it is.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use nix::unistd::{Uid, User as Account};

const NAME: &str = "damson-rig";

/// Who runs the servers and the product.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// The account's home directory: where a session starts, unlike `HOME`, which is the host's.
    pub home: PathBuf,
    drops: bool,
}

impl User {
    /// The rig's user; the first call made by root creates the account where it is missing.
    pub fn get() -> &'static User {
        static USER: OnceLock<User> = OnceLock::new();
        USER.get_or_init(|| {
            let me = Uid::effective();
            if !me.is_root() {
                let account = Account::from_uid(me).unwrap().expect("the current user has no account");
                return User::of(account, false);
            }
            User::of(find().unwrap_or_else(create), true)
        })
    }

    fn of(account: Account, drops: bool) -> User {
        User { name: account.name, uid: account.uid.as_raw(), gid: account.gid.as_raw(), home: account.dir, drops }
    }

    /// A command run as this user with an empty environment but for PATH, LANG, USER and HOME, from `/`, without input.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir("/").stdin(Stdio::null());
        command.env("PATH", search_path()).env("LANG", "C.UTF-8");
        command.env("USER", &self.name).env("LOGNAME", &self.name).env("HOME", &self.home);
        if self.drops {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives a file or directory to this user.
    pub fn own(&self, path: &Path) {
        chown(path, Some(self.uid), Some(self.gid)).unwrap_or_else(|e| panic!("chown {}: {e}", path.display()));
    }

    /// Writes a file that belongs to this user, with exactly this mode.
    pub fn write(&self, path: &Path, text: impl AsRef<[u8]>, mode: u32) {
        std::fs::write(path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        self.own(path);
    }

    /// Makes a directory (mode 700) that belongs to this user; it may exist. The parent must exist.
    pub fn make_dir(&self, path: &Path) {
        if let Err(e) = std::fs::create_dir(path)
            && e.kind() != std::io::ErrorKind::AlreadyExists
        {
            panic!("create directory {}: {e}", path.display());
        }
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap();
        self.own(path);
    }

    /// Runs a command of [`User::command`] to its end and returns what it printed; panics unless it succeeds.
    pub fn run(&self, program: impl AsRef<OsStr>, args: &[&str]) -> String {
        run(self.command(program).args(args))
    }
}

/// Runs a command to its end and returns its standard output; panics with its standard error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("start {command:?}: {e}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}:\n{stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// PATH of servers, sessions and the product: PostgreSQL's folder, then the system's.
pub(crate) fn search_path() -> String {
    format!("{}:/usr/local/bin:/usr/bin:/bin", crate::pg_bin().display())
}

fn find() -> Option<Account> {
    Account::from_name(NAME).unwrap()
}

fn create() -> Account {
    let made = Command::new("/usr/sbin/useradd")
        .args(["--system", "--user-group", "--create-home", "--shell", "/bin/bash"])
        .args(["--home-dir", &format!("/var/lib/{NAME}"), "--password", "*", NAME])
        .output()
        .expect("start useradd");
    // Two test binaries may create the account at once: only its absence afterwards is an error.
    find().unwrap_or_else(|| panic!("useradd {NAME}: {}", String::from_utf8_lossy(&made.stderr)))
}
