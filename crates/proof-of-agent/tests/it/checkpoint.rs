//! Checkpoints as signed notes.

use ed25519_dalek::Signer as _;
use proof_of_agent::note::MAX_NOTE_BYTES;
use proof_of_agent::{Checkpoint, CheckpointError, DidKey, Digest, LogKey, NoteError};

use crate::fixture::{ORIGIN, World};

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size: 42, root: Digest::of(b"root") }
}

fn key(world: &World) -> LogKey {
    LogKey::new(ORIGIN, DidKey::of(&world.log)).unwrap()
}

/// The example of the signed-note specification's first implementation (golang.org/x/mod/sumdb/note).
#[test]
fn a_key_and_its_signature_are_those_of_the_specification() {
    let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key: LogKey = text.parse().unwrap();
    assert_eq!(key.to_string(), text);
    assert_eq!(key.name(), "PeterNeumann");
    let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let signature =
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    let signature = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature).unwrap();
    assert!(key.key().verifies(note.as_bytes(), &signature[4..]));
}

#[test]
fn a_signed_checkpoint_opens_with_its_key() {
    let world = World::new();
    let note = checkpoint().sign(&world.log).unwrap();
    assert!(note.starts_with("simulated.poa/00ff\n42\n"));
    assert_eq!(Checkpoint::open(&note, &[key(&world)]), Ok(checkpoint()));
    assert_eq!(Checkpoint::read_unverified(&note), Ok(checkpoint()));
}

#[test]
fn a_log_key_in_another_spelling_is_refused() {
    for text in [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy",
    ] {
        assert_eq!(text.parse::<LogKey>(), Err(NoteError::BadKey), "{text}");
    }
}

#[test]
fn a_witness_beside_the_log_is_ignored() {
    let world = World::new();
    let mut note = checkpoint().sign(&world.log).unwrap();
    note.push_str("\u{2014} witness.example/w AAAAAAAA\n");
    assert_eq!(Checkpoint::open(&note, &[key(&world)]), Ok(checkpoint()));
}

#[test]
fn extension_lines_are_signed_and_otherwise_ignored() {
    let world = World::new();
    let text = format!("{}an extension\n", checkpoint().text());
    let plain = checkpoint().sign(&world.log).unwrap();
    let (_, line) = plain.split_once("\n\n").unwrap();
    let name = line.rsplit_once(' ').unwrap().0;
    let own = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        line.trim_end().rsplit_once(' ').unwrap().1,
    )
    .unwrap();
    let mut signature = own[..4].to_vec();
    signature.extend_from_slice(&world.log.sign(text.as_bytes()).to_bytes());
    let signature = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signature);
    let note = format!("{text}\n{name} {signature}\n");
    assert_eq!(Checkpoint::open(&note, &[key(&world)]), Ok(checkpoint()));
}

#[test]
fn a_checkpoint_of_another_log_or_key_is_refused() {
    let world = World::new();
    let note = checkpoint().sign(&world.platform).unwrap();
    assert_eq!(Checkpoint::open(&note, &[key(&world)]), Err(CheckpointError::NoTrustedSignature));
    let other = Checkpoint { origin: "other.poa/1".to_owned(), ..checkpoint() }.sign(&world.log).unwrap();
    assert_eq!(Checkpoint::open(&other, &[key(&world)]), Err(CheckpointError::NoTrustedSignature));
    let good = checkpoint().sign(&world.log).unwrap();
    assert_eq!(Checkpoint::open(&good, &[]), Err(CheckpointError::NoTrustedSignature));
    // A key is trusted under its own name only: another log's name in the first line does not do.
    let other_key = LogKey::new("other.poa/1", DidKey::of(&world.log)).unwrap();
    assert_eq!(Checkpoint::open(&good, &[other_key]), Err(CheckpointError::NoTrustedSignature));
}

#[test]
fn a_changed_checkpoint_is_refused() {
    let world = World::new();
    let note = checkpoint().sign(&world.log).unwrap();
    let changed = note.replacen("42", "43", 1);
    assert_eq!(
        Checkpoint::open(&changed, &[key(&world)]),
        Err(NoteError::BadSignature(ORIGIN.to_owned()).into())
    );
}

#[test]
fn a_text_that_is_not_a_checkpoint_is_malformed() {
    let world = World::new();
    let note = checkpoint().sign(&world.log).unwrap();
    for text in [
        String::new(),
        checkpoint().text(),
        note.trim_end().to_owned(),
        note.replacen("42", "042", 1),
        note.replacen("42", "-42", 1),
        note.replacen("42", "9007199254740992", 1),
        note.replacen("42\n", "42\r\n", 1),
        note.replacen("simulated.poa/00ff", "", 1),
        note.replacen("simulated.poa/00ff", "simulated poa", 1),
        note.replacen("\u{2014} ", "- ", 1),
        format!("{note}\u{2014} witness AAAA====\n"),
        format!("{note}\n"),
        note.replacen("42\n", "42\nAAAA", 1),
        format!("{note}{}", "\u{2014} w AAAAAAAA\n".repeat(40)),
    ] {
        let result = Checkpoint::open(&text, &[key(&world)]);
        let malformed = matches!(
            result,
            Err(CheckpointError::Malformed(_) | CheckpointError::Note(NoteError::Malformed(_)))
        );
        assert!(malformed, "{text:?}: {result:?}");
    }
    let long = "x".repeat(MAX_NOTE_BYTES + 1);
    assert_eq!(Checkpoint::open(&long, &[]), Err(NoteError::TooLarge.into()));
}
