//! Texts that strangers will read: no control characters, and nothing that reorders the line it stands in.

use std::str::FromStr;

/// A name on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label(String);

/// A description: line breaks and tabs are fine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prose(String);

// === impl Label ===

impl Label {
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl FromStr for Label {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() != text || text.is_empty() {
            return Err("must not be blank, nor begin or end with white space");
        }
        if text.chars().any(deceives) {
            return Err("must not hold control or direction characters");
        }
        Ok(Self(text.to_owned()))
    }
}

// === impl Prose ===

impl Prose {
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl FromStr for Prose {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.chars().any(|char| deceives(char) && !matches!(char, '\n' | '\t')) {
            return Err("must not hold control or direction characters, line breaks and tabs apart");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Control characters (PostgreSQL keeps no NUL), and those of Unicode's bidirectional algorithm: with them a name can
/// be shown as another. Source: <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>.
fn deceives(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_honest_line() {
        for text in ["Ada", "Ada L.", "エイダ", "ada 🤖"] {
            assert!(text.parse::<Label>().is_ok(), "{text}");
        }
        for text in ["", " ", " ada", "ada\n", "a\0da", "a\u{202e}da", "a\u{2067}da", "a\u{7f}"] {
            assert!(text.parse::<Label>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn prose_may_break_lines_and_nothing_else() {
        assert!("one\n\ttwo".parse::<Prose>().is_ok());
        assert!("".parse::<Prose>().is_ok());
        assert!("one\0two".parse::<Prose>().is_err());
        assert!("one\rtwo".parse::<Prose>().is_err());
    }
}
