//! Text as it is indexed and as it is looked for.
//!
//! Both go the same way: compatibility forms are made one, accents dropped, letters made small, and the rest cut into
//! terms. Scripts that put no spaces between words are cut into pairs of characters, as Lucene does with Chinese,
//! Japanese and Korean: whoever looks for a part of a sentence finds it by its pairs. A term holds letters, digits and
//! pictures alone, so whatever a stranger types, no term is anything but a term to the index.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization as _;

/// Terms of a query that count: what comes after them is left out.
const MAX_QUERY_TERMS: usize = 32;
/// Terms of one text that are indexed.
const MAX_INDEX_TERMS: usize = 4_096;
/// Characters of a word that count.
const MAX_WORD: usize = 40;
/// From so many letters on a word may be mistyped: below, every other word is like it.
const MAY_BE_MISTYPED: usize = 4;
/// Words of a text among which typing errors are looked for: comparing costs with their number.
const MAX_LETTER_WORDS: usize = 48;

/// Something to look for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// Letters, digits and pictures; never empty.
    pub text: String,
    /// Whether it is a word, of which the beginning may be enough; else it is to be found as it is.
    pub word: bool,
}

/// Where a term stands, the more telling place first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A name or a title.
    Name,
    /// A capability.
    Capability,
    /// A description.
    Description,
}

/// What a character is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Part of a word between spaces.
    Letter,
    /// Part of a text without spaces.
    Unspaced,
    /// A picture, which stands for itself.
    Picture,
    /// Between words.
    Gap,
}

/// The terms of a text that can be found.
pub fn index_terms(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for (class, run) in runs(text) {
        match class {
            Class::Letter => terms.push(word(&run)),
            Class::Unspaced => {
                terms.extend(run.iter().map(char::to_string));
                terms.extend(run.windows(2).map(String::from_iter));
            }
            Class::Picture => terms.extend(run.iter().map(char::to_string)),
            Class::Gap => {}
        }
        if terms.len() >= MAX_INDEX_TERMS {
            break;
        }
    }
    terms.truncate(MAX_INDEX_TERMS);
    terms
}

/// The terms that a query looks for, each once.
pub fn query_terms(text: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    for (class, run) in runs(text) {
        let piece = |text| Term { text, word: false };
        match class {
            Class::Letter => terms.push(Term { text: word(&run), word: true }),
            Class::Unspaced if run.len() == 1 => terms.push(piece(String::from_iter(run))),
            Class::Unspaced => terms.extend(run.windows(2).map(String::from_iter).map(piece)),
            Class::Picture => terms.extend(run.iter().map(char::to_string).map(piece)),
            Class::Gap => {}
        }
    }
    let mut seen = HashSet::new();
    terms.retain(|term| seen.insert(term.clone()));
    terms.truncate(MAX_QUERY_TERMS);
    terms
}

/// The words of texts among which typing errors are looked for, with a space between them.
pub fn letters(texts: &[&str]) -> String {
    let mut seen = HashSet::new();
    let words = texts.iter().flat_map(|text| runs(text));
    let words = words.filter(|(class, run)| *class == Class::Letter && run.len() + 1 >= MAY_BE_MISTYPED);
    let words = words.map(|(_, run)| word(&run)).filter(|word| seen.insert(word.clone()));
    words.take(MAX_LETTER_WORDS).collect::<Vec<_>>().join(" ")
}

// === impl Term ===

impl Term {
    /// Whether what is meant may be written otherwise. Another number is another number.
    pub fn may_be_mistyped(&self) -> bool {
        self.word
            && self.text.chars().count() >= MAY_BE_MISTYPED
            && self.text.chars().all(char::is_alphabetic)
    }
}

fn word(run: &[char]) -> String {
    run.iter().take(MAX_WORD).collect()
}

/// Stretches of characters of one class.
fn runs(text: &str) -> Vec<(Class, Vec<char>)> {
    let mut runs: Vec<(Class, Vec<char>)> = Vec::new();
    for char in normal(text) {
        let class = class(char);
        match runs.last_mut() {
            Some((last, run)) if *last == class => run.push(char),
            Some(_) | None => runs.push((class, vec![char])),
        }
    }
    runs
}

/// A text without what writers do in different ways: width, case, accents.
fn normal(text: &str) -> impl Iterator<Item = char> + '_ {
    let plain = text.nfkd().filter(|char| !is_accent(*char)).nfc();
    plain.flat_map(char::to_lowercase).flat_map(|char| {
        let spelt = spelling(char);
        let kept = spelt.is_empty().then_some(char);
        kept.into_iter().chain(spelt.chars())
    })
}

/// Marks over and under Latin, Greek and Cyrillic letters. Those of kana are other characters: with them it is
/// another sound.
fn is_accent(char: char) -> bool {
    matches!(char, '\u{0300}'..='\u{036f}')
}

/// Letters of Latin alphabets that are no letter with an accent to Unicode; empty for all others.
fn spelling(char: char) -> &'static str {
    match char {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ı' => "i",
        _ => "",
    }
}

fn class(char: char) -> Class {
    match char {
        // Thai, Lao; Myanmar; Khmer: with their vowel signs, which are no letters by themselves.
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        // Hangul; ideographic iteration mark; kana with its long-vowel mark; Han.
        | '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' | '\u{3005}' | '\u{3041}'..='\u{3096}'
        | '\u{309d}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' => Class::Unspaced,
        // Symbols and pictographs.
        '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' => Class::Picture,
        _ if char.is_alphanumeric() => Class::Letter,
        _ => Class::Gap,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_for(text: &str) -> Vec<String> {
        query_terms(text).into_iter().map(|term| term.text).collect()
    }

    #[test]
    fn case_accents_and_width_make_no_difference() {
        assert_eq!(
            looked_for("Résumé ＡＢＣ ｶﾞ Straße Łódź İzmir"),
            ["resume", "abc", "ガ", "strasse", "lodz", "izmir"]
        );
        // Another sound is another word.
        assert_ne!(looked_for("か"), looked_for("が"));
    }

    #[test]
    fn capabilities_are_found_by_their_parts() {
        assert_eq!(index_terms("text.summarize-long_v2"), ["text", "summarize", "long", "v2"]);
    }

    #[test]
    fn a_part_of_a_text_without_spaces_is_looked_for_by_its_pairs() {
        assert_eq!(looked_for("文章を要約"), ["文章", "章を", "を要", "要約"]);
        assert_eq!(looked_for("約"), ["約"]);
        let found = index_terms("日本語の文章を要約します");
        for text in ["文章を要約", "約", "日本"] {
            assert!(looked_for(text).iter().all(|term| found.contains(term)), "{text}");
        }
        assert!(!looked_for("本日").iter().all(|term| found.contains(term)));
        assert_eq!(looked_for("สวัสดี").len(), 5);
    }

    #[test]
    fn whatever_is_typed_a_term_holds_letters_digits_and_pictures_alone() {
        let hostile = "a'b\"c\\d%e_f:*|&!(g)<->h\0i;--\u{202e}j `$1` 🤖";
        for term in looked_for(hostile) {
            assert!(term.chars().all(|char| char.is_alphanumeric() || char == '🤖'), "{term:?}");
        }
        assert_eq!(looked_for("%_'\"\\ :*|&!() \0"), Vec::<String>::new());
        assert_eq!(looked_for("🤖🤖🤖"), ["🤖"]);
    }

    #[test]
    fn what_can_be_looked_for_is_bounded() {
        let words: String = (0..500).map(|number| format!("w{number} ")).collect();
        assert_eq!(query_terms(&words).len(), MAX_QUERY_TERMS);
        assert_eq!(looked_for(&"x".repeat(10_000))[0].len(), MAX_WORD);
        assert!(index_terms(&"字".repeat(10_000)).len() <= MAX_INDEX_TERMS);
        assert_eq!(letters(&[&words]).split(' ').count(), MAX_LETTER_WORDS);
    }

    #[test]
    fn only_longer_words_may_be_mistyped() {
        let terms = query_terms("pdf summarize 要約 2026");
        let may: Vec<bool> = terms.iter().map(Term::may_be_mistyped).collect();
        assert_eq!(may, [false, true, false, false]);
    }
}
