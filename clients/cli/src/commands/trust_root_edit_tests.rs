//! Tests of the next revision of a trust root.

use poa_sdk::Network;
use poa_sdk::receipts::Digest;

use super::*;

fn did() -> DidKey {
    OperatorKey::generate(&system_env()).did()
}

/// A file of one log key, one receipt key and this root key.
fn file(root_key: &OperatorKey) -> TrustRoot {
    let (origin, key) = ("a.example/1", did());
    let log_key = LogKey::new(origin, key).unwrap();
    let trusted = Trusted::new(Network::Simulated, origin, vec![log_key], vec![KeyInRange::always(key)]);
    TrustRoot::of(Trusted { root_keys: vec![root_key.did()], ..trusted }).unwrap()
}

fn refused(before: &TrustRoot, change: &Change) -> String {
    edited(before.trusted(), change).unwrap_err().message().to_owned()
}

#[test]
fn a_receipt_key_follows_another_at_a_place_of_the_log() {
    let root_key = OperatorKey::generate(&system_env());
    let before = file(&root_key);
    let (old, new) = (before.receipt_keys()[0], did());
    let change = Change {
        add_receipt_key: Some(new),
        from: Some(40),
        end_receipt_key: Some(old),
        until: Some(50),
        ..Change::default()
    };
    let next = edited(before.trusted(), &change).unwrap();
    let root = signed(&before, next, &[root_key]).unwrap();
    assert_eq!(root.trusted().revision, 2);
    root.succeeds(&before).unwrap();
    let may = |key, place| root.may_sign_receipts(key, place);
    assert!(may(old, 0) && may(old, 49) && !may(old, 50));
    assert!(!may(new, 39) && may(new, 40) && may(new, 50));
}

#[test]
fn everything_that_can_be_added_can_be_seen_in_the_next_file_and_taken_away_again() {
    let root_key = OperatorKey::generate(&system_env());
    let before = file(&root_key);
    let (arbiter, root, next_root) = (did(), did(), OperatorKey::generate(&system_env()));
    let log_key = LogKey::new("a.example/1", did()).unwrap();
    let witness = WitnessKey::new("w.example", did()).unwrap();
    let tee = format!("intelTdx={}", Digest::of(b"certificate"));
    let expires: Moment = "2027-01-01".parse().unwrap();
    let change = Change {
        add_arbiter: Some(arbiter),
        add_log_key: Some(log_key.clone()),
        add_witness: Some(witness.clone()),
        quorum: Some(1),
        add_tee_root: Some(tee.parse().unwrap()),
        add_root_key: Some(next_root.did()),
        expires: Some(expires),
        ..Change::default()
    };
    let next = edited(before.trusted(), &change).unwrap();
    let second = signed(&before, next, std::slice::from_ref(&root_key)).unwrap();
    let said = second.trusted();
    assert_eq!(said.log_keys.last(), Some(&log_key));
    assert_eq!((said.witnesses.quorum, said.witnesses.keys.as_slice()), (1, [witness].as_slice()));
    assert_eq!((said.arbiter_keys[0].key, said.tee_roots[0].vendor.as_str()), (arbiter, "intelTdx"));
    assert_eq!(said.expires, Some(expires.0));
    assert!(refused(&second, &change).contains("already"), "each of them once");
    let change = Change {
        remove_witness: Some("w.example".to_owned()),
        quorum: Some(0),
        remove_log_key: Some(log_key),
        remove_tee_root: Some(tee.parse().unwrap()),
        remove_root_key: Some(root_key.did()),
        end_arbiter: Some(arbiter),
        until: Some(9),
        ..Change::default()
    };
    let next = edited(second.trusted(), &change).unwrap();
    let third = signed(&second, next, &[next_root]).unwrap();
    assert_eq!((third.log_keys().len(), third.trusted().witnesses.keys.len()), (1, 0));
    assert!(third.trusted().tee_roots.is_empty());
    assert!(!third.trusted().root_keys.contains(&root_key.did()));
    assert!(third.succeeds(&before).is_err(), "who skipped the second file has not met its root key");
    assert!(
        refused(&third, &Change { remove_root_key: Some(root), ..Change::default() }).contains("no such")
    );
}

#[test]
fn a_change_that_would_leave_nobody_to_sign_or_says_nothing_is_refused() {
    let root_key = OperatorKey::generate(&system_env());
    let before = file(&root_key);
    let key = before.receipt_keys()[0];
    let nothing = Change::default();
    assert!(refused(&before, &nothing).contains("changes nothing"));
    let ended = Change { end_receipt_key: Some(key), until: Some(5), ..nothing.clone() };
    assert!(refused(&before, &ended).contains("no receipt key"));
    let rootless = Change { remove_root_key: Some(root_key.did()), ..nothing.clone() };
    assert!(refused(&before, &rootless).contains("root key"));
    let twice = Change { add_receipt_key: Some(key), ..nothing.clone() };
    assert!(refused(&before, &twice).contains("in use"));
    let stranger = Change { end_receipt_key: Some(did()), until: Some(5), ..nothing.clone() };
    assert!(refused(&before, &stranger).contains("there is no receipt key"));
    let orphan = Change { from: Some(1), quorum: Some(0), ..nothing.clone() };
    assert!(refused(&before, &orphan).contains("--from"));
    let foreign = LogKey::new("b.example/1", did()).unwrap();
    let foreign = Change { add_log_key: Some(foreign), ..nothing.clone() };
    assert!(refused(&before, &foreign).contains("named"));
    let quorum = edited(before.trusted(), &Change { quorum: Some(1), ..nothing }).unwrap();
    assert!(signed(&before, quorum, &[root_key]).is_err(), "a quorum above the number of witnesses");
}

#[test]
fn a_file_that_no_root_key_of_the_one_before_has_signed_is_not_written() {
    let root_key = OperatorKey::generate(&system_env());
    let before = file(&root_key);
    let change = Change { add_arbiter: Some(did()), ..Change::default() };
    let next = edited(before.trusted(), &change).unwrap();
    let stranger = OperatorKey::generate(&system_env());
    let failure = signed(&before, next.clone(), &[stranger]).unwrap_err();
    assert_eq!(failure.exit(), Exit::Unverified);
    assert!(signed(&before, next, &[root_key]).is_ok());
}

#[test]
fn a_log_goes_on_under_another_origin_and_keeps_the_ones_before() {
    let root_key = OperatorKey::generate(&system_env());
    let before = file(&root_key);
    let key = did();
    let next = moved(before.trusted(), "a.example/2", key).unwrap();
    let root = signed(&before, next, &[root_key]).unwrap();
    assert_eq!((root.origin(), root.log_keys().len()), ("a.example/2", 1));
    assert_eq!((root.log_keys()[0].name(), root.log_keys()[0].key()), ("a.example/2", key));
    assert!(root.has_origin("a.example/1"), "what was signed for the old log still belongs to the instance");
    for wrong in ["", "a b", "a+b", "a.example/1", "a.example/2", &"x".repeat(256)] {
        assert!(moved(root.trusted(), wrong, key).is_err(), "{wrong}");
    }
}

#[test]
fn a_file_is_written_over_its_predecessor_and_nothing_else() {
    let root_key = OperatorKey::generate(&system_env());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust-root.json");
    let (before, other) = (file(&root_key), file(&root_key));
    let change = Change { add_arbiter: Some(did()), ..Change::default() };
    let next = edited(before.trusted(), &change).unwrap();
    let root = signed(&before, next, &[root_key]).unwrap();
    fs::write(&path, other.to_json().unwrap()).unwrap();
    assert_eq!(write(&path, &before, &root).unwrap_err().exit(), Exit::Refused);
    assert_eq!(read(&path).unwrap().digest(), other.digest());
    fs::write(&path, before.to_json().unwrap()).unwrap();
    write(&path, &before, &root).unwrap();
    assert_eq!(read(&path).unwrap(), root);
    assert!(write(&path, &before, &root).is_err(), "what is there now is newer");
    write(&folder.path().join("new.json"), &before, &root).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
}
