//! The seeds of each target: small inputs that reach deep, from which a fuzzer starts.

use proof_of_agent::{DidKey, LogKey};

use crate::targets::messages::READERS;
use crate::targets::tokens::{KEYS, genuine_page_token};
use crate::world::{BALANCE_PROOF, ORIGIN, PAID, World};

/// An invoice of the specification's own examples: 2,500 µBTC for a cup of coffee.
/// Source: <https://github.com/lightning/bolts/blob/master/11-payment-encoding.md>.
const INVOICE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";

/// The seeds of a target; none where there is no such target.
///
/// # Panics
/// Where the fixture cannot be made.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let paid = &*PAID;
    let text = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let changes: Vec<Vec<u8>> =
        vec![vec![], vec![9, 0, 0, 1], vec![200, 1, 2, b'0'], vec![0, 2, 3, 0, 1, 2, 3, 0]];
    match target {
        "envelope" => paid.envelopes.iter().map(proof_of_agent::Envelope::to_json).collect(),
        "statement" => paid.statements.iter().map(|statement| statement.payload().to_vec()).collect(),
        "chain" => vec![(0..6).collect(), vec![0, 6, 1, 2, 3, 4, 5], vec![0, 1, 1, 2, 2, 5], vec![5, 4, 3, 2, 1, 0]],
        "bundle" => vec![paid.bundle_json.clone()],
        "verify" => changes,
        "balance" => vec![BALANCE_PROOF.to_vec()],
        "trust_root" => vec![paid.trust_root.to_json().expect("a trust root")],
        "config" => {
            let printed = poa_chassis::config::print(&poa_chassis::config::ServerConfig::default());
            let mut seeds = text(&["reflection = false\n[limits]\nin_flight = 1\n", "listen = \"[::1]:0\"\n"]);
            seeds.push(printed.expect("a configuration").into_bytes());
            seeds
        }
        "checkpoint" => {
            let key = LogKey::new(ORIGIN, DidKey::of(&World::new().log)).expect("a key");
            [text(&[&paid.bundle.checkpoint, &key.to_string()]), changes].concat()
        }
        "inclusion" => vec![vec![6, 4, 2], vec![6, 4, 2, 9, 0, 0, 1], vec![63, 62, 0, 40, 0, 3, 0]],
        "consistency" => vec![vec![6, 3], vec![6, 4, 9, 0, 0, 1], vec![63, 33, 40, 0, 3, 0]],
        "log_entry" => {
            let entry = proof_of_agent::tlog::LogEntry::of(&paid.envelopes[0]).expect("an entry");
            [vec![entry.encode().to_vec()], changes].concat()
        }
        "did" => {
            let key = paid.statements[0].context().signer;
            let digest = paid.statements[0].digest().to_string();
            [text(&[&key.to_string(), &digest]), vec![key.as_bytes().to_vec()]].concat()
        }
        "names" => text(&[
            "task_01h2xcejqtf2nbrexx3vqjhp41",
            "acct_00000000000000000000000007",
            "simulated",
            "-9223372036854775808",
            "2100000000000000000",
            "99999999H",
            "100m",
        ]),
        "bolt11" => text(&[INVOICE]),
        "lnurl" => text(&[
            "\0{\"tag\":\"payRequest\",\"callback\":\"https://pay.example/cb?k=1#x\",\"minSendable\":1,\"maxSendable\":50000,\"metadata\":\"[]\"}",
            "\0{\"tag\":\"payRequest\",\"callback\":\"https://pay.example@other.example\",\"minSendable\":1,\"maxSendable\":50000,\"metadata\":\"\"}",
            "\0{\"status\":\"ERROR\",\"reason\":\"no\"}",
            "\0{\"pr\":\"lnsb1\",\"routes\":[]}",
            "\u{2}alice@other.example{}",
        ]),
        "messages" => (0..u8::try_from(READERS.len()).expect("a byte")).map(|which| vec![which]).chain(fields()).collect(),
        "page_token" => [text(&[&genuine_page_token(), ""]), changes].concat(),
        "jwt" => [text(&[&KEYS.access, &KEYS.service, "a.b.c"]), changes].concat(),
        "criteria" => vec![
            b"\x00\x08^(a+)+$aaaaaaaaaaab".to_vec(),
            b"\x00\x04\\w{3}x\xff\xfexxx".to_vec(),
            b"\x01\x08{\"type\":\"array\"}[1, 2, 3, 4, 5 ]".to_vec(),
            br##"1      {"$defs":{"a":{"type":"string","pattern":"^a+$"}},"items":{"$ref":"#/$defs/a"}}["a"]"##.to_vec(),
        ],
        _another => Vec::new(),
    }
}

/// A few messages with something in each of the first fields: text, bytes, numbers and messages.
fn fields() -> impl Iterator<Item = Vec<u8>> {
    let inner: &[u8] =
        b"\x0a\x03abc\x12\x02\x0a\x00\x18\x07\x22\x01x\x2a\x04\x0a\x02hi\x30\x01\x3a\x00\x40\x02";
    (0..u8::try_from(READERS.len()).expect("a byte")).map(move |which| [&[which], inner].concat())
}
