//! `KEY=value` files, read as WAL-G's library (gotenv) reads them.
//!
//! `export` is allowed; `#` starts a comment, in an unquoted value too; `'...'` is taken as it stands; in `"..."` a
//! backslash escapes, `\n` and `\r` are line ends; outside of single quotes `$NAME` and `${NAME}` stand for an earlier
//! key of the file or a variable of the environment. Quoted values may span lines.

use serde_json::{Map, Value};

/// Keys and values in the file's order; a later line wins. Errors name the line and never quote it.
pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Map<String, Value>, String> {
    let mut pairs = Map::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let trimmed = rest.trim_start();
        if trimmed.is_empty() {
            break;
        }
        if trimmed.len() < rest.len() || trimmed.starts_with('#') {
            rest = if trimmed.starts_with('#') { after_line(trimmed) } else { trimmed };
            continue;
        }
        let (key, value, after) = assignment(rest).ok_or_else(|| format!("line {line} is not KEY=value"))?;
        let resolve = |name: &str| match pairs.get(name) {
            Some(Value::String(text)) => text.clone(),
            _ => env(name).unwrap_or_default(),
        };
        let value = value.text(&resolve);
        pairs.insert(key.to_owned(), Value::String(value));
        rest = after;
    }
    Ok(pairs)
}

enum Raw<'a> {
    Plain(&'a str),
    Single(&'a str),
    Double(&'a str),
}

impl Raw<'_> {
    fn text(&self, resolve: &dyn Fn(&str) -> String) -> String {
        match self {
            Raw::Plain(text) => expand(text.trim(), false, resolve),
            Raw::Single(text) => (*text).to_owned(),
            Raw::Double(text) => expand(text, true, resolve),
        }
    }
}

/// One assignment at the start of `text`: key, value, what follows its line.
fn assignment(text: &str) -> Option<(&str, Raw<'_>, &str)> {
    let text = match text.strip_prefix("export") {
        Some(after) if after.starts_with([' ', '\t']) => after.trim_start_matches([' ', '\t']),
        _ => text,
    };
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))?;
    let (key, after) = text.split_at(end);
    let blanks: &[char] = &[' ', '\t'];
    let value = match after.strip_prefix(':') {
        Some(value) if value.starts_with(blanks) => value,
        _ => after.trim_start_matches(blanks).strip_prefix('=')?,
    };
    let value = value.trim_start_matches(blanks);
    if key.is_empty() {
        return None;
    }
    if let Some(quote) = value.chars().next().filter(|first| ['\'', '"'].contains(first)) {
        let inner = &value[1..];
        let (inner, tail) = inner.split_at(closing(inner, quote)?);
        let tail = &tail[1..];
        let trailing = tail.split('\n').next().unwrap_or_default().trim();
        let clean = trailing.is_empty() || trailing.starts_with('#');
        let raw = if quote == '"' { Raw::Double(inner) } else { Raw::Single(inner) };
        return clean.then(|| (key, raw, after_line(tail)));
    }
    let end = value.find(['#', '\n']).unwrap_or(value.len());
    Some((key, Raw::Plain(&value[..end]), after_line(&value[end..])))
}

fn closing(inner: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    inner.char_indices().find_map(|(at, c)| {
        let close = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        close.then_some(at)
    })
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, after)| after)
}

fn expand(text: &str, escapes: bool, resolve: &dyn Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match (first, rest.chars().next()) {
            ('\\', Some(next)) if escapes || next == '$' => {
                out.push(match next {
                    'n' => '\n',
                    'r' => '\r',
                    other => other,
                });
                rest = &rest[next.len_utf8()..];
            }
            ('$', _) => match reference(rest) {
                Some((name, after)) => {
                    out.push_str(&resolve(name));
                    rest = after;
                }
                None => out.push('$'),
            },
            _ => out.push(first),
        }
    }
    out
}

/// `NAME` or `{NAME}` at the start of `text`: upper case, digits, underscore.
fn reference(text: &str) -> Option<(&str, &str)> {
    let braced = text.strip_prefix('{');
    let body = braced.unwrap_or(text);
    let end = body.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(body.len());
    let (name, after) = body.split_at(end);
    let after = if braced.is_some() { after.strip_prefix('}')? } else { after };
    (!name.is_empty()).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<String, String> {
        let env = |name: &str| (name == "HOME").then(|| "/home/gp".to_owned());
        let pairs = parse(text, &env)?;
        Ok(pairs
            .into_iter()
            .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join(";"))
    }

    #[test]
    fn values() {
        for (text, expected) in [
            ("A=1\nB=2", "A=1;B=2"),
            ("# note\n\n  A = x y  # note\r\nexport B=z\n", "A=x y;B=z"),
            ("A='a#b $HOME'\nB=\"a#b $HOME\\n\\\"q\\\"\"", "A=a#b $HOME;B=a#b /home/gp\n\"q\""),
            ("A=$HOME/x\nB=${A}/y\nC=a$b\nD=\\$HOME", "A=/home/gp/x;B=/home/gp/x/y;C=a$b;D=$HOME"),
            ("A=\"two\nlines\" # note\nB=1", "A=two\nlines;B=1"),
            ("A: yaml-like\nB=", "A=yaml-like;B="),
            ("", ""),
        ] {
            assert_eq!(one(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn errors_name_the_line_only() {
        for text in ["A=1\nsecret", "A=1\n'secret'=x", "A=1\nB='secret", "A=1\nB=\"secret\" secret"] {
            assert_eq!(one(text), Err("line 2 is not KEY=value".to_owned()), "{text:?}");
        }
    }
}
