//! Values as numbers, durations, sizes, paths.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Error, Settings, table};

impl Settings {
    /// Unset is false. WAL-G's spellings of a boolean; it takes most other texts for false, here they are errors, since
    /// `yes` is not meant as no.
    pub fn bool(&self, name: &str) -> Result<bool, Error> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(_) => Err(self.invalid(name, "expected true or false")),
        }
    }

    /// A whole number. Underscores between digits are allowed, as in YAML.
    pub fn int(&self, name: &str) -> Result<Option<i64>, Error> {
        let parse = |text: &str| text.trim().replace('_', "").parse().ok();
        self.parsed(name, "expected a whole number", parse)
    }

    pub fn float(&self, name: &str) -> Result<Option<f64>, Error> {
        let finite = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        self.parsed(name, "expected a number", finite)
    }

    /// A whole number of at least 1; `fallback` if unset.
    pub fn concurrency(&self, name: &str, fallback: usize) -> Result<usize, Error> {
        match self.int(name)? {
            None => Ok(fallback),
            Some(number) => usize::try_from(number)
                .ok()
                .filter(|number| *number >= 1)
                .ok_or_else(|| self.invalid(name, "expected a number of at least 1")),
        }
    }

    /// Go's form: `90s`, `1h30m`, `720h`, `0`.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, Error> {
        let parse = |text: &str| humantime::parse_duration(text.trim()).ok();
        self.parsed(name, "expected a duration with its unit, such as 90s, 5m or 1h30m", parse)
    }

    /// A number with an optional b, kb, mb, gb (powers of 1024), KiB, MiB, GiB.
    pub fn bytes(&self, name: &str) -> Result<Option<u64>, Error> {
        self.parsed(name, "expected a size in bytes, or with one of kb, mb, gb, KiB, MiB, GiB", size)
    }

    /// A leading `~/` stands for the home directory.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let text = self.get(name)?;
        match (text.strip_prefix("~/"), &self.home) {
            (Some(below), Some(home)) => Some(home.join(below)),
            _ => Some(PathBuf::from(text)),
        }
    }

    /// An error about the value of `name`, which is shown unless it is a secret.
    pub(crate) fn invalid(&self, name: &str, reason: &str) -> Error {
        let name = name.to_uppercase();
        let shown = if table::is_secret(&name) { "***" } else { self.get(&name).unwrap_or_default() };
        Error::Value { value: shown.to_owned(), reason: reason.to_owned(), name }
    }

    fn parsed<T>(&self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Error> {
        let Some(text) = self.get(name) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| self.invalid(name, expected))
    }
}

fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    number.replace('_', "").parse::<u64>().ok()?.checked_mul(factor)
}
