//! Signed notes: keys of logs and witnesses, cosignatures, and the proof that an entry is in a log.

use proof_of_agent::checkpoint::tlog_proof;
use proof_of_agent::note::{MAX_NOTE_BYTES, MAX_SIGNATURE_LINES, Note};
use proof_of_agent::{Checkpoint, CheckpointError, Digest, LogKey, NoteError, WitnessKey};

use crate::fixture::ORIGIN;
use crate::plan::{SEEN_AT, WITNESSES, did, key, witness_key};

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size: 42, root: Digest::of(b"root") }
}

fn signed() -> String {
    checkpoint().sign(&key(4)).unwrap()
}

fn cosigned(places: &[usize]) -> String {
    let lines = places
        .iter()
        .map(|place| witness_key(*place).cosign(&checkpoint().text(), SEEN_AT, &key(WITNESSES[*place])));
    std::iter::once(signed()).chain(lines).collect()
}

#[test]
fn a_cosignature_says_when_the_witness_saw_the_checkpoint() {
    let note = cosigned(&[0, 2]);
    let note = Note::parse(&note).unwrap();
    assert_eq!(note.text(), checkpoint().text());
    let seen: Vec<Option<u64>> = (0..3).map(|place| note.cosigned_by(&witness_key(place))).collect();
    assert_eq!(seen, [Some(SEEN_AT), None, Some(SEEN_AT)]);
    assert_eq!(note.is_signed_by(&LogKey::new(ORIGIN, did(4)).unwrap()), Ok(true));
    assert_eq!(note.is_signed_by(&LogKey::new(ORIGIN, did(3)).unwrap()), Ok(false));
}

/// By the specification: name, key id, eight bytes of time and the signature over a text with a header of its own.
#[test]
fn a_cosignature_has_the_bytes_of_the_specification() {
    let line = witness_key(0).cosign(&checkpoint().text(), SEEN_AT, &key(WITNESSES[0]));
    let rest = line.strip_prefix("\u{2014} witness0.example/w ").unwrap().trim_end();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, rest).unwrap();
    let id = Digest::of_parts(&[b"witness0.example/w\n\x04", did(WITNESSES[0]).as_bytes()]);
    assert_eq!(
        (bytes.len(), &bytes[..4], &bytes[4..12]),
        (76, &id.as_bytes()[..4], &SEEN_AT.to_be_bytes()[..])
    );
    let message = format!("cosignature/v1\ntime {SEEN_AT}\n{}", checkpoint().text());
    assert!(did(WITNESSES[0]).verifies(message.as_bytes(), &bytes[12..]));
}

#[test]
fn a_cosignature_for_another_text_moment_or_by_another_key_counts_for_nothing() {
    let text = checkpoint().text();
    let other_text = text.replacen("42", "43", 1);
    let of = |text: &str, seed: u8| witness_key(0).cosign(text, SEEN_AT, &key(seed));
    let good = of(&text, WITNESSES[0]);
    let later = {
        let (head, last) = good.trim_end().rsplit_once(' ').unwrap();
        let engine = base64::engine::general_purpose::STANDARD;
        let mut bytes = base64::Engine::decode(&engine, last).unwrap();
        bytes[11] += 1;
        format!("{head} {}\n", base64::Engine::encode(&engine, bytes))
    };
    let renamed = good.replacen("witness0", "witness1", 1);
    for line in [of(&other_text, WITNESSES[0]), of(&text, 14), later, renamed] {
        let note = format!("{}{line}", signed());
        assert_eq!(Note::parse(&note).unwrap().cosigned_by(&witness_key(0)), None, "{line}");
        assert_eq!(Checkpoint::cosigners(&note, &[witness_key(0)]), Ok(vec![]));
        // A stranger's line in a witness's name does not take the log's word back.
        assert!(Checkpoint::open(&note, &[LogKey::new(ORIGIN, did(4)).unwrap()]).is_ok());
    }
    // A broken line beside the good one: which of them is the witness's, nobody can tell.
    let both = format!("{}{good}{}", signed(), of(&other_text, WITNESSES[0]));
    assert_eq!(Note::parse(&both).unwrap().cosigned_by(&witness_key(0)), None);
}

#[test]
fn a_witness_counts_once_however_often_it_signed() {
    let keys: Vec<WitnessKey> = (0..3).map(witness_key).collect();
    let note = cosigned(&[0, 0, 1, 0]);
    let names: Vec<String> =
        Checkpoint::cosigners(&note, &keys).unwrap().into_iter().map(ToString::to_string).collect();
    assert_eq!(names, [keys[0].to_string(), keys[1].to_string()]);
    let error = CheckpointError::Note(NoteError::Malformed("no signatures"));
    assert_eq!(Checkpoint::cosigners("x", &keys), Err(error));
}

#[test]
fn the_key_of_a_log_and_that_of_a_witness_are_never_taken_for_one_another() {
    let (log, witness) = (LogKey::new("x", did(4)).unwrap(), WitnessKey::new("x", did(4)).unwrap());
    assert_eq!((log.name(), witness.name(), log.key(), witness.key()), ("x", "x", did(4), did(4)));
    assert_eq!(log.to_string().parse(), Ok(log.clone()));
    assert_eq!(witness.to_string().parse(), Ok(witness.clone()));
    assert_eq!(log.to_string().parse::<WitnessKey>(), Err(NoteError::BadKey));
    assert_eq!(witness.to_string().parse::<LogKey>(), Err(NoteError::BadKey));
    assert_ne!(log.to_string(), witness.to_string());
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\n"] {
        assert_eq!(LogKey::new(name, did(4)), Err(NoteError::BadKey));
        assert_eq!(WitnessKey::new(name, did(4)), Err(NoteError::BadKey));
    }
}

#[test]
fn a_note_is_refused_for_its_own_reason() {
    let note = signed();
    for (text, what) in [
        (note.replacen("\n\n", "\n", 1), "no signatures"),
        (note.replacen("42", "4\u{7f}2", 1), "control characters"),
        (note.replacen("42", "4\t2", 1), "control characters"),
        (note.trim_end().to_owned(), "the signature lines"),
        (format!("{note}{}", "\u{2014} w AAAAAAAA\n".repeat(MAX_SIGNATURE_LINES)), "the signature lines"),
        (format!("{note}w AAAAAAAA\n"), "a signature line"),
        (format!("{note}\u{2014} w\n"), "a signature line"),
        (format!("{note}\u{2014} w AAA=\n"), "a signature line"),
        (format!("{note}\u{2014} w+w AAAAAAAA\n"), "a signature line"),
    ] {
        assert_eq!(Note::parse(&text).unwrap_err(), NoteError::Malformed(what), "{text:?}");
    }
    let large = format!("{}{}", "x\n".repeat(MAX_NOTE_BYTES / 2), note);
    assert_eq!(Note::parse(&large).unwrap_err(), NoteError::TooLarge);
    let key = LogKey::new(ORIGIN, did(4)).unwrap();
    let changed = note.replacen("42", "43", 1);
    let bad = NoteError::BadSignature(ORIGIN.to_owned());
    assert_eq!(Note::parse(&changed).unwrap().is_signed_by(&key), Err(bad));
}

#[test]
fn the_proof_of_an_entry_is_one_file_that_other_tools_read() {
    let hashes = [Digest::of(b"a"), Digest::of(b"b")];
    let expected = format!(
        "c2sp.org/tlog-proof@v1\nindex 7\n{}\n{}\n\n{}",
        "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=",
        "PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0=",
        signed()
    );
    assert_eq!(tlog_proof(7, &hashes, &signed()), expected);
    assert_eq!(tlog_proof(0, &[], &signed()), format!("c2sp.org/tlog-proof@v1\nindex 0\n\n{}", signed()));
}
