//! PAX extended headers, as far as they say something about names, sizes, owners and times.

use crate::Error;

/// Whether records hold for one member or for all that follow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Member,
    Global,
}

/// What extended headers say instead of the fields of a member's header.
#[derive(Clone, Default)]
pub(super) struct Overrides {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) uname: Option<String>,
    pub(super) gname: Option<String>,
    pub(super) mtime_secs: Option<i64>,
}

impl Overrides {
    /// Adds the records of one extended header; later ones win, an empty value takes an earlier one back.
    pub(super) fn add_pax(&mut self, mut content: &[u8], scope: Scope) -> Result<(), Error> {
        while !content.is_empty() {
            let (keyword, value, rest) = split_record(content).ok_or_else(|| bad("a record has a wrong form"))?;
            if scope == Scope::Member || keyword != b"path" {
                self.add_record(keyword, value)?;
            }
            content = rest;
        }
        Ok(())
    }

    fn add_record(&mut self, keyword: &[u8], value: &[u8]) -> Result<(), Error> {
        let text = || (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned());
        let bytes = || (!value.is_empty()).then(|| value.to_vec());
        match keyword {
            b"path" => self.path = bytes(),
            b"linkpath" => self.link_path = bytes(),
            b"uname" => self.uname = text(),
            b"gname" => self.gname = text(),
            b"size" => self.size = parse_number(value)?,
            b"uid" => self.uid = parse_number(value)?,
            b"gid" => self.gid = parse_number(value)?,
            b"mtime" => {
                // Fractions are cut towards the past.
                let (whole, fraction) = match value.iter().position(|&byte| byte == b'.') {
                    Some(dot) => (&value[..dot], value[dot + 1..].iter().any(|&digit| digit != b'0')),
                    None => (value, false),
                };
                let is_negative = whole.starts_with(b"-");
                self.mtime_secs =
                    parse_number::<i64>(whole)?.map(|s| s.saturating_sub((is_negative && fraction).into()));
            }
            _ if keyword.starts_with(b"GNU.sparse.") => {
                return Err(Error::Unsupported { what: "an archive member", why: "it is a sparse file".to_owned() });
            }
            _ => {}
        }
        Ok(())
    }
}

/// Splits `<length> <keyword>=<value>\n` off the front.
fn split_record(content: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = content.iter().take(20).position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&content[..space]).ok()?.parse().ok()?;
    let record = content.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &content[length..]))
}

fn parse_number<T: std::str::FromStr>(value: &[u8]) -> Result<Option<T>, Error> {
    if value.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(value).map_err(|_| bad("a number is not text"))?;
    text.parse().map(Some).map_err(|_| bad("a number has a wrong form"))
}

fn bad(why: &str) -> Error {
    Error::corrupt("the archive", format!("extended header: {why}"))
}
