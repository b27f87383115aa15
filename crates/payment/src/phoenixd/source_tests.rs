//! What the sources of this provider must never say.

use std::fs;
use std::path::Path;

/// The requests of phoenixd's that send by an invoice which it fetches itself, a new one at each call: the same withdrawal
/// asked for twice would be paid twice. In parts, so that this file does not say them either.
const NEVER: [[&str; 2]; 4] =
    [["pay", "lnaddress"], ["lnurl", "pay"], ["pay", "offer"], ["sendto", "address"]];

#[test]
fn only_an_invoice_that_the_ledger_knows_is_ever_paid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/phoenixd");
    let (mut files, mut asks_to_pay) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        files += 1;
        asks_to_pay += text.matches("\"payinvoice\"").count();
        for parts in NEVER {
            assert!(!text.contains(&parts.concat()), "{}", parts.concat());
        }
    }
    assert!(files > 10, "only {files} files were read");
    assert_eq!(asks_to_pay, 1, "one place sends");
}
