//! What may be written where.

use std::fs;
use std::path::Path;

/// The files below a folder, with what they say without comments.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>();
            found.push((path.to_string_lossy().into_owned(), code.join("\n")));
        }
    }
}

fn naming(words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&folder, &mut found);
    let mut named: Vec<String> = found
        .into_iter()
        .filter(|(_, code)| words.iter().any(|word| code.contains(word)))
        .map(|(path, _)| path.rsplit_once("/src/").unwrap().1.to_owned())
        .collect();
    named.sort();
    named
}

#[test]
fn one_module_alone_can_send() {
    assert_eq!(naming(&["Payer", ".pay(", "PayIntent"]), ["worker/dispatch.rs"]);
    assert_eq!(
        naming(&["Dispatcher", "dispatcher"]),
        ["lib.rs", "lightning.rs", "worker/dispatch.rs", "worker/mod.rs", "worker/payouts.rs"]
    );
}

#[test]
fn the_rules_of_the_money_are_pure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain");
    let mut found = Vec::new();
    sources(&folder, &mut found);
    for (path, code) in found {
        for word in ["sqlx", "tonic", "tokio", "poa_storage", "poa_chassis", "Instant::now", ".await"] {
            assert!(!code.contains(word), "{path} names {word}");
        }
    }
}

#[test]
fn the_journal_is_written_in_one_place_and_never_changed() {
    assert_eq!(naming(&["INSERT INTO postings", "INSERT INTO transfers"]), ["store/ledger/write.rs"]);
    assert_eq!(naming(&["UPDATE accounts"]), ["store/ledger/write.rs"]);
    let none: [&str; 0] = [];
    assert_eq!(naming(&["UPDATE postings", "UPDATE transfers", "TRUNCATE"]), none);
    // What is to be looked at again is forgotten once it has ended, and a snapshot once it is old: nothing else is ever
    // deleted.
    let waiting = ["store/reconciliation/lists.rs", "store/reconciliation/mod.rs"];
    let snapshots = ["store/liabilities/snapshots.rs"];
    assert_eq!(naming(&["DELETE FROM"]), [snapshots.as_slice(), &waiting].concat());
    assert_eq!(naming(&["DELETE FROM reconciliation_waiting"]), waiting);
    assert_eq!(naming(&["DELETE FROM liabilities_"]), snapshots);
}
