//! The trust roots of the vectors, and files that are none.

use ed25519_dalek::SigningKey;
use proof_of_agent::trust::{KeyInRange, Trusted, Witnesses};
use proof_of_agent::{LogKey, TrustRoot};
use serde_json::{Value, json};
use time::Duration;

use super::{class, sorted};
use crate::fixture::{NOW, ORIGIN};
use crate::plan::{did, key, moved, ranges, trusted, witness_key, witnessed};

/// The place of the log from which on the second receipt key signs.
pub(super) const CHANGE: u64 = 13;

/// The trust roots that bundles are held against.
fn believed() -> Vec<(&'static str, TrustRoot)> {
    let of = |trusted: Trusted| TrustRoot::of(trusted).unwrap();
    let signed = |trusted: Trusted, seed: u8| of(trusted).sign(&key(seed)).unwrap();
    vec![
        ("plain", of(trusted())),
        ("witnessed", of(witnessed(2))),
        ("moved", signed(moved(), 7)),
        ("ranges", signed(ranges(CHANGE), 7)),
        ("expiring", of(Trusted { expires: Some(NOW + Duration::SECOND), ..trusted() })),
        ("expired", of(Trusted { expires: Some(NOW), ..trusted() })),
        ("mainnet", of(Trusted { network: poa_common::Network::Mainnet, ..trusted() })),
        ("other-receipt-key", of(Trusted { receipt_keys: vec![KeyInRange::always(did(3))], ..trusted() })),
        ("no-arbiter", of(Trusted { arbiter_keys: vec![], ..trusted() })),
        ("arbiter-retired", {
            let early = KeyInRange { key: did(5), from: 0, until: Some(3) };
            of(Trusted { arbiter_keys: vec![early], ..trusted() })
        }),
        ("other-log-key", {
            of(Trusted { log_keys: vec![LogKey::new(ORIGIN, did(3)).unwrap()], ..trusted() })
        }),
        ("second-revision", signed(Trusted { revision: 2, ..trusted() }, 7)),
        ("signed-by-a-stranger", signed(Trusted { revision: 2, ..trusted() }, 3)),
        ("unsigned", of(Trusted { revision: 2, ..trusted() })),
        ("other-instance", {
            let log_key = LogKey::new("other.poa/1", did(4)).unwrap();
            let other = Trusted { origin: "other.poa/1".to_owned(), log_keys: vec![log_key], ..trusted() };
            signed(Trusted { revision: 2, ..other }, 7)
        }),
    ]
}

/// Files that are no trust roots, and the class of the refusal.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let plain: Value = serde_json::to_value(trusted()).unwrap();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut value = plain.clone();
        edit(&mut value);
        serde_json::to_vec(&sorted(&value)).unwrap()
    };
    let written = |trusted: Trusted| serde_json::to_vec(&trusted).unwrap();
    let witnesses = |quorum: u32, keys: Vec<proof_of_agent::WitnessKey>| {
        written(Trusted { witnesses: Witnesses { quorum, keys }, ..trusted() })
    };
    let same_key = proof_of_agent::WitnessKey::new("another.example/w", witness_key(0).key()).unwrap();
    let same_name = proof_of_agent::WitnessKey::new(witness_key(0).name(), did(12)).unwrap();
    let signed = TrustRoot::of(trusted()).unwrap().sign(&key(7)).unwrap().to_json().unwrap();
    let signed = String::from_utf8(signed).unwrap();
    vec![
        ("unknown-version", edited(&|it| it["version"] = json!(2)), "unknownVersion"),
        ("unknown-field", edited(&|it| it["more"] = json!(1)), "malformed"),
        ("missing-field", edited(&|it| drop(it.as_object_mut().unwrap().remove("receiptKeys"))), "malformed"),
        ("unknown-network", edited(&|it| it["network"] = json!("testnet")), "malformed"),
        ("network-as-an-object", edited(&|it| it["network"] = json!({ "simulated": null })), "malformed"),
        (
            "range-as-an-array",
            edited(&|it| it["receiptKeys"][0] = json!([it["receiptKeys"][0]["key"].clone(), 0, null])),
            "malformed",
        ),
        ("revision-as-a-fraction", edited(&|it| it["revision"] = json!(1.0)), "malformed"),
        (
            "expires-with-an-offset",
            edited(&|it| it["expires"] = json!("2030-01-01T00:00:00+00:00")),
            "malformed",
        ),
        ("key-of-small-order", edited(&|it| it["receiptKeys"][0]["key"] = json!(small_order())), "malformed"),
        (
            "log-key-with-another-id",
            edited(&|it| {
                let key = it["logKeys"][0].as_str().unwrap().to_owned();
                let (name, rest) = key.split_once('+').unwrap();
                it["logKeys"][0] = json!(format!("{name}+00000000+{}", rest.split_once('+').unwrap().1));
            }),
            "malformed",
        ),
        ("no-log-key", edited(&|it| it["logKeys"] = json!([])), "keys"),
        ("no-receipt-key", edited(&|it| it["receiptKeys"] = json!([])), "keys"),
        ("log-key-of-another-log", edited(&|it| it["origin"] = json!("other.poa/1")), "keys"),
        (
            "too-many-root-keys",
            written(Trusted { root_keys: (1..=65).map(did).collect(), ..trusted() }),
            "keys",
        ),
        ("quorum-above-the-witnesses", witnesses(2, vec![witness_key(0)]), "witnesses"),
        ("two-witnesses-with-one-key", witnesses(1, vec![witness_key(0), same_key]), "witnesses"),
        ("two-witnesses-with-one-name", witnesses(1, vec![witness_key(0), same_name]), "witnesses"),
        (
            "empty-range",
            written(Trusted {
                arbiter_keys: vec![KeyInRange { key: did(5), from: 7, until: Some(7) }],
                ..trusted()
            }),
            "range",
        ),
        (
            "changed-after-signing",
            signed.replacen("\"revision\": 1", "\"revision\": 2", 1).into(),
            "badSignature",
        ),
        ("too-large", vec![b' '; 64 * 1024 + 1], "tooLarge"),
    ]
}

/// The neutral element as a key: a signature could hold for any message.
pub(super) fn small_order() -> String {
    let mut bytes = vec![0xed, 0x01, 1];
    bytes.resize(34, 0);
    format!("did:key:z{}", bs58(&bytes))
}

/// Base 58 by the book, for keys that the library does not write.
pub(super) fn bs58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    digits.iter().rev().map(|digit| char::from(ALPHABET[usize::try_from(*digit).unwrap()])).collect()
}

pub(super) fn file(name: &str) -> String {
    format!("trust-roots/{name}.json")
}

/// The file of a trust root that bundles are held against.
pub(super) fn bytes(name: &str) -> Vec<u8> {
    let (_, root) = believed().into_iter().find(|(known, _)| *known == name).unwrap();
    root.to_json().unwrap()
}

pub(super) fn files() -> Vec<(String, Vec<u8>)> {
    let believed = believed().into_iter().map(|(name, root)| (file(name), root.to_json().unwrap()));
    let refused = refused().into_iter().map(|(name, bytes, _)| (file(name), bytes));
    believed.chain(refused).collect()
}

/// The index of the files.
pub(super) fn entries() -> Vec<Value> {
    let believed = believed()
        .into_iter()
        .map(|(name, root)| json!({ "file": file(name), "expected": { "digest": root.digest() } }));
    let refused = refused().into_iter().map(|(name, bytes, expected)| {
        let found = class::trust_root(&TrustRoot::from_json(&bytes).unwrap_err());
        assert_eq!(found, expected, "{name}");
        json!({ "file": file(name), "expected": { "error": found } })
    });
    believed.chain(refused).collect()
}

/// Which trust root may take the place of which.
pub(super) fn succeeding() -> Vec<Value> {
    let of = |name: &str| TrustRoot::from_json(&bytes(name)).unwrap();
    let pairs = [
        ("plain", "second-revision", None),
        ("plain", "moved", None),
        ("plain", "ranges", None),
        ("second-revision", "plain", Some("notNewer")),
        ("plain", "plain", Some("notNewer")),
        ("plain", "unsigned", Some("notSigned")),
        ("plain", "signed-by-a-stranger", Some("notSigned")),
        ("plain", "other-instance", Some("otherInstance")),
        ("plain", "mainnet", Some("otherInstance")),
        ("moved", "second-revision", Some("otherInstance")),
    ];
    pairs
        .into_iter()
        .map(|(pinned, next, expected)| {
            let found = of(next).succeeds(&of(pinned)).err().map(|error| class::trust_root(&error));
            assert_eq!(found, expected, "{next} after {pinned}");
            let expected = found.map_or(json!({ "succeeds": true }), |class| json!({ "error": class }));
            json!({ "pinned": file(pinned), "next": file(next), "expected": expected })
        })
        .collect()
}

/// A key that no vector of the fixture uses.
pub(super) fn stranger() -> SigningKey {
    key(14)
}
