//! The service file: a section per service, `keyword=value` lines (libpq-pgservice).

use std::path::{Path, PathBuf};

use crate::Error;

/// The settings of `service`, from the first of `files` that has it.
pub fn read(service: &str, files: &[PathBuf]) -> Result<Vec<(String, String)>, Error> {
    for path in files {
        if let Some(pairs) = std::fs::read_to_string(path).ok().and_then(|text| section(&text, service)) {
            return pairs.map_err(|line| invalid(format!("{}: line {line} is not keyword=value", path.display())));
        }
    }
    let searched: Vec<_> = files.iter().map(|path| Path::display(path).to_string()).collect();
    Err(invalid(format!("no service {service:?} in {}", searched.join(", "))))
}

fn invalid(reason: String) -> Error {
    Error::Invalid { setting: "PGSERVICE".to_owned(), reason }
}

type Section = Result<Vec<(String, String)>, usize>;

/// `None` if there is no such section; an error is the number of a line that cannot be read.
fn section(text: &str, service: &str) -> Option<Section> {
    let mut pairs: Option<Vec<(String, String)>> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if pairs.is_some() {
                break;
            }
            pairs = (header.trim_end_matches(']') == service).then(Vec::new);
        } else if let Some(pairs) = &mut pairs {
            let Some((keyword, value)) = line.split_once('=') else { return Some(Err(number + 1)) };
            pairs.push((keyword.trim().to_owned(), value.trim().to_owned()));
        }
    }
    pairs.map(Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_section_counts() {
        let text = "# note\n[a]\nhost=x\n[b]\nhost = y\nport=7\n\n[c]\nbroken\n";
        let pair = |keyword: &str, value: &str| (keyword.to_owned(), value.to_owned());
        assert_eq!(section(text, "b"), Some(Ok(vec![pair("host", "y"), pair("port", "7")])));
        assert_eq!(section(text, "c"), Some(Err(9)));
        assert_eq!(section(text, "d"), None);
        let error = read("d", &["/nonexistent/file".into()]).unwrap_err();
        assert!(error.to_string().contains("no service \"d\" in /nonexistent/file"), "{error}");
    }
}
