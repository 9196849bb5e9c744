//! Whoever started this process: the writer of its standard input, or the shell between the two.
//!
//! When it is gone at the end of the input, the input was cut off.

use segment_agent::error::{Error, Result};

/// Shells run the pipeline that this process is part of; who matters is whoever started them.
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "ksh", "zsh"];

/// A process: its number is used again after its end, its start is not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    id: u32,
    started: String,
}

/// The processes that must still be there at the end.
#[derive(Debug, PartialEq, Eq)]
pub struct Caller(Vec<Process>);

impl Caller {
    pub fn current() -> Self {
        let mut chain = Vec::new();
        let mut next = u32::try_from(nix::unistd::getppid().as_raw()).ok();
        while let Some((process, name, parent)) = next.and_then(describe) {
            let is_shell = SHELLS.contains(&name.as_str());
            chain.push(process);
            // A process without a parent of its own is the system's first, or stands behind a wall.
            next = (is_shell && parent > 1 && chain.len() < 4).then_some(parent);
        }
        Self(chain)
    }

    /// An error if the caller went away meanwhile.
    pub fn must_be_there(&self) -> Result<()> {
        if Self::current() == *self {
            return Ok(());
        }
        let what = "whoever wrote standard input is gone: the data may be incomplete";
        Err(Error::refused(what, "nothing was stored; run the backup again"))
    }
}

/// A process, its name and the number of its parent.
fn describe(id: u32) -> Option<(Process, String, u32)> {
    parse(id, &std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// The name stands in parentheses and may hold anything; proc(5).
fn parse(id: u32, stat: &str) -> Option<(Process, String, u32)> {
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let mut fields = after.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    // Start time is field 22; the name was field 2, and two more are taken.
    let started = fields.nth(17)?.to_owned();
    Some((Process { id, started }, name, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_described() {
        let stat = "42 (a) b) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 1";
        let (process, name, parent) = parse(42, stat).unwrap();
        assert_eq!((process.started.as_str(), name.as_str(), parent), ("98765", "a) b", 7));
        for wrong in ["", "42", "42 (x)", "42 (x) S", "42 (x) S y"] {
            assert!(parse(42, wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn our_own_caller_is_there() {
        let caller = Caller::current();
        assert!(!caller.0.is_empty());
        caller.must_be_there().unwrap();
        assert!(Caller(Vec::new()).must_be_there().is_err());
    }
}
