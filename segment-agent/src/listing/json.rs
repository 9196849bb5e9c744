//! JSON in the spelling of Go's encoder, with a final newline.

use std::io::{self, Write};

use formats::go_json;
use serde::Serialize;

const INDENT: &[u8] = b"    ";

pub fn write_line<T: Serialize>(documents: &[T], out: &mut impl Write) -> io::Result<()> {
    out.write_all(&go_json::to_vec(documents))?;
    out.write_all(b"\n")
}

pub fn write_indented<T: Serialize>(documents: &[T], out: &mut impl Write) -> io::Result<()> {
    out.write_all(&indented(&go_json::to_vec(documents)))?;
    out.write_all(b"\n")
}

/// Indents `compact`, a JSON document without white space outside of its strings. Empty arrays and objects stay as they
/// are.
fn indented(compact: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut is_escaped = false;
    for (position, &byte) in compact.iter().enumerate() {
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            out.push(byte);
            continue;
        }
        match byte {
            b'[' | b'{' => {
                out.push(byte);
                if !matches!(compact.get(position + 1), Some(b']' | b'}')) {
                    depth += 1;
                    break_line(&mut out, depth);
                }
            }
            b']' | b'}' => {
                let is_empty = position > 0 && matches!(compact.get(position - 1), Some(b'[' | b'{'));
                if !is_empty {
                    depth = depth.saturating_sub(1);
                    break_line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                break_line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

fn break_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    for _ in 0..depth {
        out.extend_from_slice(INDENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn only_marks_outside_of_strings_count() {
        let document = json!([{"a\"{": ["x:,]\\", {}, [], 1.0], "b": "<"}, []]);
        let text = String::from_utf8(indented(&go_json::to_vec(&document))).unwrap();
        let expected = r#"[
    {
        "a\"{": [
            "x:,]\\",
            {},
            [],
            1
        ],
        "b": "\u003c"
    },
    []
]"#;
        assert_eq!(text, expected);
        assert_eq!(indented(b"[]"), b"[]");
    }

    proptest::proptest! {
        #[test]
        fn the_meaning_stays(keys: Vec<String>, values: Vec<String>) {
            let object: serde_json::Map<String, Value> = keys.into_iter().map(|key| (key, json!(values))).collect();
            let document = json!([object, values]);
            let text = indented(&go_json::to_vec(&document));
            proptest::prop_assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), document);
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            indented(&bytes);
        }
    }
}
