//! What a log asks of a witness, and what the witness answers.

use std::collections::HashMap;

use proof_of_agent::tlog::{Node, TlogError, consistency_proof, leaf_hash, root};
use proof_of_agent::witness::{AddCheckpoint, MAX_REQUEST_BYTES, Seen, WitnessRefusal};
use proof_of_agent::{Checkpoint, CheckpointError, Digest, LogKey, NoteError};

use crate::fixture::{ORIGIN, grow};
use crate::plan::{did, key};

fn keys() -> Vec<LogKey> {
    vec![LogKey::new("other.poa/1", did(3)).unwrap(), LogKey::new(ORIGIN, did(4)).unwrap()]
}

fn nodes() -> HashMap<Node, Digest> {
    grow(&(0_u8..9).map(|leaf| leaf_hash(&[leaf])).collect::<Vec<_>>())
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size, root: root(size, &nodes()).unwrap() }
}

fn request(old_size: u64, size: u64) -> AddCheckpoint {
    let proof = consistency_proof(old_size, size, &nodes()).unwrap();
    AddCheckpoint { old_size, proof, note: checkpoint(size).sign(&key(4)).unwrap() }
}

fn seen(size: u64) -> Option<Seen> {
    Some(Seen { size, root: checkpoint(size).root })
}

fn refused(request: &AddCheckpoint, seen: Option<Seen>, status: u16, expected: WitnessRefusal) {
    let refusal = request.judge(&keys(), seen).unwrap_err();
    assert_eq!(refusal, expected);
    assert_eq!(refusal.status(), status);
    assert_eq!(refusal.is_fork(), matches!(expected, WitnessRefusal::OtherRoot(_)));
}

#[test]
fn a_witness_follows_a_log_from_any_size_to_any_larger_one() {
    for old in 0..=9 {
        for new in old..=9 {
            let request = request(old, new);
            assert_eq!(request.judge(&keys(), seen(old)), Ok(checkpoint(new)), "{old} to {new}");
            if old == 0 {
                assert_eq!(request.judge(&keys(), None), Ok(checkpoint(new)));
            }
        }
    }
}

#[test]
fn a_request_reads_back() {
    for (old, new) in [(0, 0), (0, 9), (3, 9), (9, 9)] {
        let request = request(old, new);
        let body = request.to_body();
        assert!(body.starts_with(&format!("old {old}\n")));
        assert_eq!(AddCheckpoint::parse(body.as_bytes()), Ok(request));
    }
}

#[test]
fn a_body_of_another_form_is_malformed() {
    let good = request(3, 9).to_body();
    let hash = good.lines().nth(1).unwrap();
    let many = format!("old 3\n{}\n{}", format!("{hash}\n").repeat(55), request(3, 9).note);
    for (body, what) in [
        (String::new(), "no empty line"),
        (good.replacen("\n\n", "\n", 2), "no empty line"),
        (good.replacen("old 3", "old 03", 1), "the old size"),
        (good.replacen("old 3", "old -3", 1), "the old size"),
        (good.replacen("old 3", "Old 3", 1), "the old size"),
        (good.replacen("old 3", "old 3 ", 1), "the old size"),
        (good.replacen(hash, "AAAA", 1), "the proof"),
        (good.replacen(hash, &hash[1..], 1), "the proof"),
        (good.replacen(hash, &format!("{hash}\r"), 1), "the proof"),
        (many, "the proof"),
        (format!("{good}{}", " ".repeat(MAX_REQUEST_BYTES)), "too large"),
    ] {
        let refusal = AddCheckpoint::parse(body.as_bytes()).unwrap_err();
        assert_eq!((refusal.status(), refusal), (400, WitnessRefusal::Malformed(what)), "{body:.80}");
    }
    let bytes = [good.as_bytes(), b"\xff"].concat();
    assert_eq!(AddCheckpoint::parse(&bytes), Err(WitnessRefusal::Malformed("not UTF-8")));
}

#[test]
fn a_log_that_nobody_named_is_not_known() {
    let log = Checkpoint { origin: "third.poa/1".to_owned(), ..checkpoint(9) };
    let request = AddCheckpoint { note: log.sign(&key(4)).unwrap(), ..request(0, 9) };
    refused(&request, None, 404, WitnessRefusal::UnknownLog("third.poa/1".to_owned()));
}

#[test]
fn a_checkpoint_that_the_log_did_not_sign_is_forbidden() {
    let stranger = AddCheckpoint { note: checkpoint(9).sign(&key(14)).unwrap(), ..request(0, 9) };
    refused(&stranger, None, 403, CheckpointError::NoTrustedSignature.into());
    let mut broken = request(0, 9);
    broken.note = broken.note.replacen("\n9\n", "\n8\n", 1);
    let bad = NoteError::BadSignature(ORIGIN.to_owned());
    refused(&broken, None, 403, CheckpointError::Note(bad).into());
    let other = AddCheckpoint { note: "no note".to_owned(), ..request(0, 9) };
    refused(&other, None, 400, CheckpointError::Note(NoteError::Malformed("no signatures")).into());
    let no_size = AddCheckpoint { note: request(0, 9).note.replacen("\n9\n", "\nx\n", 1), ..request(0, 9) };
    refused(&no_size, None, 400, CheckpointError::Malformed("the size").into());
}

#[test]
fn a_log_that_does_not_know_what_was_cosigned_is_told() {
    refused(&request(3, 9), seen(5), 409, WitnessRefusal::OldSize(5));
    refused(&request(3, 9), None, 409, WitnessRefusal::OldSize(0));
    refused(&request(0, 9), seen(9), 409, WitnessRefusal::OldSize(9));
    let shrunk = AddCheckpoint { old_size: 9, ..request(0, 5) };
    refused(&shrunk, seen(9), 400, WitnessRefusal::Malformed("the old size is above the new one"));
}

#[test]
fn a_log_that_forked_is_not_cosigned() {
    let other = Some(Seen { size: 5, root: Digest::of(b"another tree") });
    refused(&request(5, 5), other, 409, WitnessRefusal::OtherRoot(5));
    refused(&request(5, 9), other, 422, WitnessRefusal::Inconsistent(TlogError::WrongRoot));
    let empty = Checkpoint { root: Digest::of(b"another tree"), ..checkpoint(0) };
    let request = AddCheckpoint { note: empty.sign(&key(4)).unwrap(), ..request(0, 0) };
    refused(&request, None, 409, WitnessRefusal::OtherRoot(0));
}

#[test]
fn a_proof_that_does_not_hold_is_refused() {
    let good = request(3, 9);
    let proof = |proof: Vec<Digest>| AddCheckpoint { proof, ..good.clone() };
    let wrong = |error| WitnessRefusal::Inconsistent(error);
    refused(&proof(vec![]), seen(3), 422, wrong(TlogError::WrongLength));
    let mut longer = good.proof.clone();
    longer.push(Digest::of(b""));
    refused(&proof(longer), seen(3), 422, wrong(TlogError::WrongLength));
    let mut changed = good.proof.clone();
    changed[1] = Digest::of(b"");
    refused(&proof(changed), seen(3), 422, wrong(TlogError::WrongRoot));
    let idle = AddCheckpoint { proof: vec![Digest::of(b"")], ..request(9, 9) };
    refused(&idle, seen(9), 422, wrong(TlogError::WrongLength));
}
