//! What a trust root says beyond its first form: ranges of keys, witnesses, root keys, and which file follows which.

use poa_common::Network;
use proof_of_agent::trust::{KeyInRange, MAX_KEYS, TeeRoot, Trusted, Witnesses};
use proof_of_agent::{
    Checkpoint, CheckpointError, DidKey, Digest, LogKey, TrustError, TrustRoot, WitnessKey,
};

use crate::fixture::ORIGIN;
use crate::plan::{
    NEW_ORIGIN, SEEN_AT, WITNESSES, bad_signature, did, key, moved, ranges, trust_root, trusted, witness_key,
    witnessed,
};

fn of(trusted: Trusted) -> TrustRoot {
    TrustRoot::of(trusted).unwrap()
}

fn full() -> Trusted {
    Trusted {
        revision: 9,
        prior_origins: vec!["old.poa/1".to_owned()],
        tee_roots: vec![TeeRoot { vendor: "intelTdx".to_owned(), sha256: Digest::of(b"root") }],
        expires: Some(crate::fixture::NOW),
        receipt_keys: ranges(13).receipt_keys,
        ..witnessed(2)
    }
}

#[test]
fn everything_that_a_trust_root_says_reads_back() {
    let root = of(full()).sign(&key(7)).unwrap().sign(&key(3)).unwrap();
    let read = TrustRoot::from_json(&root.to_json().unwrap()).unwrap();
    assert_eq!(read, root);
    assert_eq!(read.trusted().revision, 9);
    assert_eq!(read.signers().collect::<Vec<DidKey>>(), [did(7), did(3)]);
    assert_eq!((read.receipt_keys(), read.arbiter_keys()), (&[did(1), did(9)][..], &[did(5)][..]));
}

#[test]
fn the_digest_of_a_trust_root_covers_all_but_its_signatures() {
    let plain = of(full());
    let signed = plain.sign(&key(7)).unwrap();
    assert_eq!(signed.digest(), plain.digest());
    assert_ne!(of(Trusted { revision: 10, ..full() }).digest(), plain.digest());
    // Signing again changes nothing: one signature of each key.
    assert_eq!(signed.sign(&key(7)).unwrap(), signed);
}

#[test]
fn a_key_signs_within_its_range_alone() {
    let root = of(ranges(13));
    let may = |seed, place| root.may_sign_receipts(did(seed), place);
    assert_eq!([may(1, 0), may(1, 12), may(1, 13), may(1, u64::MAX)], [true, true, false, false]);
    assert_eq!([may(9, 0), may(9, 12), may(9, 13), may(9, u64::MAX)], [false, false, true, true]);
    assert!(!may(5, 0) && !root.may_judge(did(1), 0));
    assert!(root.may_judge(did(5), 0));
    // A key that was put away and taken up again.
    let range = |from, until| KeyInRange { key: did(5), from, until };
    let twice = of(Trusted { arbiter_keys: vec![range(0, Some(3)), range(7, None)], ..trusted() });
    let places: Vec<u64> = (0..10).filter(|place| twice.may_judge(did(5), *place)).collect();
    assert_eq!(places, [0, 1, 2, 7, 8, 9]);
    for (from, until) in [(7, 7), (7, 6), (0, 0)] {
        let empty = Trusted { arbiter_keys: vec![range(from, Some(until))], ..trusted() };
        assert_eq!(TrustRoot::of(empty), Err(TrustError::Range(did(5))));
        let key_range = KeyInRange { key: did(1), from, until: Some(until) };
        let empty = Trusted { receipt_keys: vec![key_range], ..trusted() };
        assert_eq!(TrustRoot::of(empty), Err(TrustError::Range(did(1))));
    }
}

#[test]
fn a_quorum_asks_for_no_more_witnesses_than_there_are_and_for_each_once() {
    let of = |quorum, keys: Vec<WitnessKey>| {
        TrustRoot::of(Trusted { witnesses: Witnesses { quorum, keys }, ..trusted() })
    };
    let three = || (0..3).map(witness_key).collect::<Vec<_>>();
    assert!(of(0, three()).is_ok() && of(3, three()).is_ok());
    assert_eq!(of(4, three()), Err(TrustError::Witnesses));
    assert_eq!(of(1, vec![]), Err(TrustError::Witnesses));
    let same_key = WitnessKey::new("another.example/w", did(WITNESSES[0])).unwrap();
    let same_name = WitnessKey::new(witness_key(0).name(), did(12)).unwrap();
    for twin in [witness_key(0), same_key, same_name] {
        assert_eq!(of(1, vec![witness_key(0), witness_key(1), twin]), Err(TrustError::Witnesses));
    }
}

#[test]
fn a_checkpoint_is_believed_when_enough_witnesses_have_seen_it() {
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 42, root: Digest::of(b"root") };
    let note = |places: &[usize]| {
        let line =
            |place: &usize| witness_key(*place).cosign(&checkpoint.text(), SEEN_AT, &key(WITNESSES[*place]));
        let lines: String = places.iter().map(line).collect();
        checkpoint.sign(&key(4)).unwrap() + &lines
    };
    for quorum in 0..=3 {
        let root = of(witnessed(quorum));
        for places in [&[][..], &[1], &[0, 2], &[0, 1, 2], &[1, 1, 1]] {
            let found = if places == [1, 1, 1] { 1 } else { places.len() };
            let enough = usize::try_from(quorum).unwrap() <= found;
            let expected = Err(CheckpointError::NotWitnessed { quorum, found });
            let expected = if enough { Ok((checkpoint.clone(), found)) } else { expected };
            assert_eq!(root.open_checkpoint(&note(places)), expected);
        }
    }
    // Witnesses do not speak for the log.
    let unsigned = note(&[0, 1, 2]);
    let (text, lines) = unsigned.split_once("\n\n").unwrap();
    let without = lines.split_once('\n').unwrap().1;
    let result = of(witnessed(2)).open_checkpoint(&format!("{text}\n\n{without}"));
    assert_eq!(result, Err(CheckpointError::NoTrustedSignature));
}

#[test]
fn a_list_above_its_limit_is_refused() {
    let many = u8::try_from(MAX_KEYS).unwrap() + 1;
    let keys = || (1..=many).map(did).map(KeyInRange::always).collect::<Vec<_>>();
    let log_keys = (1..=many).map(|seed| LogKey::new(ORIGIN, did(seed)).unwrap()).collect();
    let witness = |seed: u8| WitnessKey::new(format!("w{seed}"), did(seed)).unwrap();
    let tee = TeeRoot { vendor: "intelSgx".to_owned(), sha256: Digest::of(b"") };
    for over in [
        Trusted { receipt_keys: keys(), ..trusted() },
        Trusted { arbiter_keys: keys(), ..trusted() },
        Trusted { log_keys, ..trusted() },
        Trusted { witnesses: Witnesses { quorum: 1, keys: (1..=many).map(witness).collect() }, ..trusted() },
        Trusted { tee_roots: vec![tee; MAX_KEYS + 1], ..trusted() },
        Trusted { root_keys: (1..=many).map(did).collect(), ..trusted() },
        Trusted { prior_origins: vec!["x".to_owned(); MAX_KEYS + 1], ..trusted() },
        Trusted { signatures: vec![bad_signature(); MAX_KEYS + 1], ..trusted() },
        Trusted { log_keys: vec![], ..trusted() },
        Trusted { receipt_keys: vec![], ..trusted() },
    ] {
        assert_eq!(TrustRoot::of(over), Err(TrustError::Keys));
    }
}

#[test]
fn a_signature_that_does_not_hold_is_refused_whoever_made_it() {
    let bad = Trusted { signatures: vec![bad_signature()], ..trusted() };
    assert_eq!(TrustRoot::of(bad), Err(TrustError::BadSignature(did(7))));
    let signed = trust_root().sign(&key(7)).unwrap();
    let changed = Trusted { revision: 2, ..signed.trusted().clone() };
    assert_eq!(TrustRoot::of(changed), Err(TrustError::BadSignature(did(7))));
    assert_eq!(TrustRoot::of(Trusted { version: 2, ..trusted() }), Err(TrustError::UnknownVersion(2)));
}

#[test]
fn a_trust_root_follows_another_of_its_instance_that_is_older_and_whose_root_key_signed_it() {
    let pinned = trust_root();
    let next = |trusted: Trusted| of(trusted).sign(&key(7)).unwrap();
    let second = || Trusted { revision: 2, ..trusted() };
    assert_eq!(next(second()).succeeds(&pinned), Ok(()));
    assert_eq!(next(Trusted { revision: 99, ..trusted() }).succeeds(&pinned), Ok(()));
    assert_eq!(next(moved()).succeeds(&pinned), Ok(()));
    assert!(next(moved()).has_origin(ORIGIN) && next(moved()).has_origin(NEW_ORIGIN));
    assert!(!next(moved()).has_origin("other.poa/1") && !pinned.has_origin(NEW_ORIGIN));
    let not_signed = Err(TrustError::NotSigned { pinned: pinned.digest() });
    assert_eq!(of(second()).succeeds(&pinned), not_signed);
    assert_eq!(of(second()).sign(&key(3)).unwrap().succeeds(&pinned), not_signed);
    // Its own root keys do not vouch for it: those of the file before do.
    let usurped = of(Trusted { root_keys: vec![did(3)], ..second() }).sign(&key(3)).unwrap();
    assert_eq!(usurped.succeeds(&pinned), not_signed);
    assert_eq!(next(trusted()).succeeds(&pinned), Err(TrustError::NotNewer { pinned: 1, found: 1 }));
    let older = pinned.succeeds(&next(second()));
    assert_eq!(older, Err(TrustError::NotNewer { pinned: 2, found: 1 }));
    let network = Trusted { network: Network::Regtest, ..second() };
    assert_eq!(next(network).succeeds(&pinned), Err(TrustError::OtherInstance));
    // A log that was moved does not move back by itself.
    let back = next(Trusted { revision: 3, ..trusted() });
    assert_eq!(back.succeeds(&next(moved())), Err(TrustError::OtherInstance));
    let no_keys = of(Trusted { root_keys: vec![], ..trusted() });
    let error = Err(TrustError::NotSigned { pinned: no_keys.digest() });
    assert_eq!(next(second()).succeeds(&no_keys), error);
}
