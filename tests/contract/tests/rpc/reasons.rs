//! Each reason of the registry: its name stands in some server's code, and in some test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::contract;

/// What the registry says of a reason that is for what is to come.
const NO_METHOD: &str = "No method yet.";
/// Where errors are chosen.
const SERVERS: [&str; 3] = ["services", "gateway/src", "crates/chassis/src"];
/// Where tests are, besides those beside the code.
const TESTS: [&str; 4] = ["services", "gateway", "crates", "tests"];
/// From here on a file holds the tests of what stands above.
const UNIT_TESTS: &str = "#[cfg(test)]";

/// What builds leave, which comes and goes while it is read.
const BUILDS: &str = "target";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if !path.ends_with(BUILDS) {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The reasons that are named, in quotes, in the code or in the tests below some folders.
fn named(folders: &[&str], in_tests: bool) -> BTreeSet<&'static str> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace root");
    let mut files = Vec::new();
    for folder in folders {
        sources(&root.join(folder), &mut files);
    }
    let mut found = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable file");
        let is_test = file.components().any(|part| part.as_os_str() == "tests");
        let (code, tests) = match text.split_once(UNIT_TESTS) {
            _ if is_test => ("", text.as_str()),
            Some((code, tests)) => (code, tests),
            None => (text.as_str(), ""),
        };
        let part = if in_tests { tests } else { code };
        let reasons = contract().reasons.keys().map(String::as_str);
        found.extend(reasons.filter(|reason| part.contains(&format!("\"{reason}\""))));
    }
    found
}

/// The reasons of the registry, without those that are for what is to come.
fn registered() -> BTreeSet<&'static str> {
    let reasons = contract().reasons.iter().filter(|(_, comment)| !comment.contains(NO_METHOD));
    reasons.map(|(reason, _)| reason.as_str()).collect()
}

#[test]
fn the_name_of_every_reason_stands_in_some_servers_code_and_those_to_come_in_none() {
    assert_eq!(named(&SERVERS, false), registered(), "what servers name, and what is registered");
}

#[test]
fn the_name_of_every_reason_stands_in_some_test() {
    let tested = named(&TESTS, true);
    let missing: Vec<_> = registered().difference(&tested).copied().collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
}

#[test]
fn every_reason_says_what_it_is_and_has_its_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace root");
    for (reason, comment) in &contract().reasons {
        assert!(comment.split(". ").count() > 1, "{reason} has no code or no meaning: {comment}");
        let page = fs::read_to_string(root.join(format!("docs/errors/{reason}.md"))).expect("a page");
        assert!(page.contains(&format!("# {reason}")), "{reason}");
    }
}
