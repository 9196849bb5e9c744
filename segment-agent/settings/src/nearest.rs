//! The known name that a misspelt one is nearest to.

use crate::table::TABLE;

/// The nearest name of the table, if it is near enough to be meant.
pub fn known_name(name: &str) -> Option<&'static str> {
    let limit = (name.len() / 4).clamp(1, 4);
    let candidates = TABLE.iter().map(|row| (distance(name, row.name), row.name));
    candidates.filter(|(far, _)| *far <= limit).min().map(|(_, known)| known)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_found() {
        assert_eq!(known_name("WALG_FILE_PREFX"), Some("WALG_FILE_PREFIX"));
        assert_eq!(known_name("WALG_COMPRESION_METHOD"), Some("WALG_COMPRESSION_METHOD"));
        assert_eq!(known_name("COMPLETELY_DIFFERENT"), None);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }
}
