//! The little JSON that the launcher writes.

use std::fmt::Write;

/// A JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A JSON array of values that are JSON already.
pub fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_backslashes_and_control_characters_are_escaped() {
        assert_eq!(quoted("it said \"no\"\n\\ é"), r#""it said \"no\"\u000a\\ é""#);
    }

    #[test]
    fn an_array_separates_its_values() {
        assert_eq!(array(["1", "2"].iter().map(|text| quoted(text))), r#"["1","2"]"#);
        assert_eq!(array(std::iter::empty()), "[]");
    }
}
