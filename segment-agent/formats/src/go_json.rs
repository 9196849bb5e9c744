//! JSON in the spelling of Go's encoders: one line, no final newline.

use std::io;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::ser::{CompactFormatter, Formatter};

use crate::Error;

/// Encodes as `encoding/json` does: `<`, `>`, `&`, U+2028 and U+2029 in strings become `\u003c` and so on. For every
/// document but files_metadata.json. `T` must have text or integer keys in its maps, as all types of this package do.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    encode(value, Escaping)
}

/// Encodes as `encoding/json/v2` does, with as little escaping as JSON allows: for files_metadata.json.
pub fn to_vec_unescaped<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    encode(value, CompactFormatter)
}

/// Decodes the document with the key `document`; anything but white space behind it is an error.
pub fn from_slice<T: DeserializeOwned>(document: &str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::from_json(document, source))
}

fn encode<T: Serialize + ?Sized>(value: &T, formatter: impl Formatter) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter)) {
        Ok(()) => bytes,
        Err(error) => unreachable!("a value of the formats package cannot be written as JSON: {error}"),
    }
}

/// For keys whose value may be `null` as well as absent.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, found)) =
            rest.char_indices().find(|(_, c)| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'))
        {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            write!(writer, "\\u{:04x}", u32::from(found))?;
            rest = tail.get(found.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    /// Go writes whole floating numbers without a fraction, and an exponent outside 1e-6..1e21 only.
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size == 0.0 || (1e-6..1e21).contains(&size) {
            return write!(writer, "{value}");
        }
        let text = format!("{value:e}");
        let signed = if text.contains("e-") { text } else { text.replace('e', "e+") };
        writer.write_all(signed.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: serde_json::Value) -> String {
        String::from_utf8(to_vec(&value)).unwrap()
    }

    #[test]
    fn strings_are_escaped_like_go() {
        let value = serde_json::json!({"a<b": "<x>&é\u{2028}\u{2029}\n\u{8}\u{c}\u{1}\u{7f}\"\\/"});
        let go = r#"{"a\u003cb":"\u003cx\u003e\u0026é\u2028\u2029\n\b\f\u0001"#.to_owned() + "\u{7f}" + r#"\"\\/"}"#;
        assert_eq!(text(value.clone()), go);
        assert!(String::from_utf8(to_vec_unescaped(&value)).unwrap().contains("<x>&é\u{2028}\u{2029}\\n"));
    }

    #[test]
    fn numbers_are_written_like_go() {
        let value = serde_json::json!([1.0, -0.5, 1e21, 1e20, 1e-7, 0.000001, 0.0, 18_446_744_073_709_551_615u64]);
        assert_eq!(text(value), "[1,-0.5,1e+21,100000000000000000000,1e-7,0.000001,0,18446744073709551615]");
    }

    proptest::proptest! {
        #[test]
        fn escaped_text_means_the_same(original: String) {
            let bytes = to_vec(&original);
            proptest::prop_assert_eq!(from_slice::<String>("x", &bytes).unwrap(), original);
        }
    }
}
