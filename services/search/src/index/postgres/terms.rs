//! Terms as PostgreSQL takes them: `tsvector` and `tsquery` in their text form, which no parser of words reads.
//!
//! A term holds letters, digits and pictures alone, so that quoting it needs no escapes.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::domain::{Term, Weight, index_terms};

/// The highest position that a `tsvector` keeps.
const MAX_POSITION: usize = 16_383;

/// The vector of some texts: each term once, with the weight of its most telling place.
pub(super) fn vector(texts: &[(Weight, &str)]) -> String {
    let mut places: HashMap<String, (usize, Weight)> = HashMap::new();
    let mut order = Vec::new();
    for (weight, text) in texts {
        for term in index_terms(text) {
            let place = (order.len() + 1).min(MAX_POSITION);
            match places.get_mut(&term) {
                Some((_, best)) => *best = (*best).min(*weight),
                None => {
                    places.insert(term.clone(), (place, *weight));
                    order.push(term);
                }
            }
        }
    }
    let mut vector = String::new();
    for term in order {
        let Some((place, weight)) = places.get(&term) else { continue };
        let letter = match weight {
            Weight::Name => 'A',
            Weight::Capability => 'B',
            Weight::Description => 'C',
        };
        // Writing into a string cannot fail.
        let _written = write!(vector, "'{term}':{place}{letter} ");
    }
    vector
}

/// The query for one term: a word by its beginning, anything else as it is.
pub(super) fn matches(term: &Term) -> String {
    if term.word { format!("'{}':*", term.text) } else { format!("'{}'", term.text) }
}

/// The query for all of some terms.
pub(super) fn all(terms: &[Term]) -> String {
    terms.iter().map(matches).collect::<Vec<_>>().join(" & ")
}

/// The query for all of some terms as they are: a word that is there in full is a better match than one that begins so.
pub(super) fn exactly(terms: &[Term]) -> String {
    terms.iter().map(|term| format!("'{}'", term.text)).collect::<Vec<_>>().join(" & ")
}

/// The query for all of some terms in names.
pub(super) fn in_names(terms: &[Term]) -> String {
    let named = |term: &Term| {
        if term.word { format!("'{}':*A", term.text) } else { format!("'{}':A", term.text) }
    };
    terms.iter().map(named).collect::<Vec<_>>().join(" & ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::query_terms;

    #[test]
    fn a_term_stands_once_with_its_best_weight() {
        let texts = [
            (Weight::Name, "Text machine"),
            (Weight::Capability, "text.count"),
            (Weight::Description, "count"),
        ];
        assert_eq!(vector(&texts), "'text':1A 'machine':2A 'count':3B ");
    }

    #[test]
    fn words_are_looked_for_by_their_beginning_and_pairs_as_they_are() {
        let terms = query_terms("sum 要約");
        assert_eq!(all(&terms), "'sum':* & '要約'");
        assert_eq!(in_names(&terms), "'sum':*A & '要約':A");
        assert_eq!(exactly(&terms), "'sum' & '要約'");
    }
}
