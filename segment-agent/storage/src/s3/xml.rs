//! The little of XML that answers of S3 need: elements by name, and their text.
//!
//! Markup inside of texts is escaped, and no element of interest holds another of its own name, so that searching for
//! tags is enough. Nothing is assumed about order, unknown elements or attributes.

/// The content of each element `name`, at any depth.
pub(super) fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find(&open) {
        rest = &rest[start + open.len()..];
        // `<Key` also begins `<KeyCount>`, and an element may be empty: `<Key/>`.
        if !rest.starts_with(|c: char| c == '>' || c.is_ascii_whitespace()) {
            continue;
        }
        let Some(begin) = rest.find('>') else { break };
        let Some(end) = rest[begin..].find(&close) else { break };
        found.push(&rest[begin + 1..begin + end]);
        rest = &rest[begin + end + close.len()..];
    }
    found
}

/// The text of the first element `name`, if it is there and not empty.
pub(super) fn text(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).first().map(|raw| unescape(raw)).filter(|text| !text.is_empty())
}

fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(start) = rest.find('&') {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        let reference = rest.find(';').and_then(|end| Some((character(&rest[1..end])?, end)));
        match reference {
            Some((character, end)) => {
                text.push(character);
                rest = &rest[end + 1..];
            }
            None => {
                text.push('&');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    text
}

fn character(reference: &str) -> Option<char> {
    match reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = reference.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"><KeyCount>2</KeyCount><Prefix/>\
        <Contents><Key>a&amp;b&#x2F;&lt;c&gt;&quot;&apos;&#233;</Key><Size>5</Size></Contents>\
        <Contents a='1'><Size>6</Size><Key>d &unknown; &</Key><Owner><ID>o</ID></Owner></Contents></ListBucketResult>";

    #[test]
    fn finds_elements_and_their_text() {
        let contents = elements(PAGE, "Contents");
        assert_eq!(contents.len(), 2);
        assert_eq!(text(contents[0], "Key").unwrap(), "a&b/<c>\"'é");
        assert_eq!(text(contents[1], "Key").unwrap(), "d &unknown; &");
        assert_eq!(text(contents[1], "Size").unwrap(), "6");
        assert_eq!(text(PAGE, "Prefix"), None);
        assert_eq!(text(PAGE, "Missing"), None);
    }

    #[test]
    fn any_cut_or_changed_byte_is_survived() {
        for end in 0..PAGE.len() {
            if let Some(cut) = PAGE.get(..end) {
                elements(cut, "Contents");
                text(cut, "Key");
            }
            let mut bytes = PAGE.as_bytes().to_vec();
            bytes[end] ^= 0x14;
            text(&String::from_utf8_lossy(&bytes), "Key");
        }
    }
}
