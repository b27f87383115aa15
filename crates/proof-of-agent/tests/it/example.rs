//! docs/protocol/example.md works one receipt of the vectors through: its figures are those of the files.

use std::path::Path;

use proof_of_agent::tlog::LogEntry;
use proof_of_agent::{Bundle, Digest, KeyEvent, Policy, TrustRoot, verify};

use crate::fixture::NOW;

fn read(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

#[test]
fn the_page_that_works_one_receipt_through_says_what_the_files_say() {
    let page = String::from_utf8(read("docs/protocol/example.md")).unwrap();
    let file = read("tests/vectors/receipts/sound/paid-by-acceptance.json");
    let root = read("tests/vectors/receipts/trust-roots/plain.json");
    let (bundle, root) = (Bundle::from_json(&file).unwrap(), TrustRoot::from_json(&root).unwrap());
    let verified = verify(&bundle, &root, &Policy::default(), NOW).unwrap();
    assert!(verified.is_paid());

    let mut said = vec![file.len().to_string(), root.digest().to_string(), bundle.checkpoint.clone()];
    let entries = bundle.entries.iter().map(|entry| {
        let entered = LogEntry::of(&entry.envelope).unwrap().with_record(entry.record);
        (entry.envelope.payload().len(), entered)
    });
    let events = bundle.key_events.iter().map(|event| {
        (event.envelope.payload().len(), LogEntry::of_notice::<KeyEvent>(&event.envelope).unwrap())
    });
    for (length, entry) in entries.chain(events) {
        let digests: [Digest; 4] =
            [entry.statement, entry.signatures, *entry.slot.digest(), entry.leaf_hash()];
        said.extend(digests.iter().map(ToString::to_string));
        said.push(format!("| {length} |"));
    }
    for figure in said {
        assert!(page.contains(&figure), "the page does not say {figure}");
    }
}
