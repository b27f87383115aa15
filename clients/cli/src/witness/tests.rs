//! Every status of the specification, and what must not happen in between.

use std::collections::HashMap;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use poa_sdk::receipts::note::{Note, WitnessKey};
use poa_sdk::receipts::tlog::{Node, consistency_proof, new_nodes_for_append, root};
use poa_sdk::receipts::{DidKey, Digest};
use poa_sdk::{AgentKey, system_env};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::*;

const ORIGIN: &str = "simulated.poa/00ff";

/// A log of a test, with its signed notes.
struct Log {
    key: SigningKey,
    nodes: HashMap<Node, Digest>,
}

impl Log {
    /// Two logs of one key agree as far as their tags do.
    fn new(tags: &[(&str, u64)]) -> Self {
        let tagged = tags.iter().flat_map(|(tag, count)| (0..*count).map(move |_| tag));
        let leaves: Vec<Digest> = (0u64..)
            .zip(tagged)
            .map(|(place, tag)| Digest::of_parts(&[tag.as_bytes(), &place.to_be_bytes()]))
            .collect();
        let nodes = new_nodes_for_append(0, &leaves, &HashMap::new()).unwrap();
        Self { key: SigningKey::from_bytes(&[4; 32]), nodes: nodes.into_iter().collect() }
    }

    fn vkey(&self) -> LogKey {
        LogKey::new(ORIGIN, DidKey::of(&self.key)).unwrap()
    }

    fn note(&self, size: u64) -> String {
        let root = root(size, &self.nodes).unwrap();
        Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&self.key).unwrap()
    }

    fn request(&self, old_size: u64, size: u64) -> AddCheckpoint {
        let proof = consistency_proof(old_size, size, &self.nodes).unwrap();
        AddCheckpoint { old_size, proof, note: self.note(size) }
    }
}

fn witness_key() -> AgentKey {
    // The key of a witness that comes back after a restart.
    let key = SigningKey::from_bytes(&[6; 32]);
    let pem = ed25519_dalek::pkcs8::EncodePrivateKey::to_pkcs8_pem(
        &ed25519_dalek::pkcs8::KeypairBytes { secret_key: key.to_bytes(), public_key: None },
        ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF,
    );
    AgentKey::from_pem(&pem.unwrap()).unwrap()
}

fn open(log: &Log, folder: &Path) -> Result<Witness, Failure> {
    let cosigner = Cosigner::new("w.example/w", &witness_key()).unwrap();
    Witness::open(cosigner, vec![log.vkey()], folder, system_env(), Out::new(true))
}

fn ask(witness: &Witness, request: &AddCheckpoint) -> Answer {
    witness.add_checkpoint(request.to_body().as_bytes())
}

fn holds(key: &WitnessKey, note: &str, answer: &Answer) -> bool {
    let signed = format!("{note}{}", answer.body);
    answer.status == 200 && Note::parse(&signed).unwrap().cosigned_by(key).is_some()
}

#[test]
fn a_log_that_grows_is_cosigned_and_asked_for_the_size_where_it_is_wrong() {
    let (log, folder) = (Log::new(&[("a", 20)]), tempfile::tempdir().unwrap());
    let witness = open(&log, folder.path()).unwrap();
    for (old, new) in [(0, 5), (5, 5), (5, 12)] {
        let answer = ask(&witness, &log.request(old, new));
        assert!(holds(witness.cosigner.key(), &log.note(new), &answer), "{old} {new}: {answer:?}");
    }
    let stale = ask(&witness, &log.request(5, 12));
    assert_eq!(stale, Answer { status: 409, media_type: "text/x.tlog.size", body: "12\n".to_owned() });
    let back = ask(&witness, &log.request(5, 5));
    assert_eq!((back.status, back.body.as_str()), (409, "12\n"));
}

#[test]
fn whatever_is_wrong_has_the_status_of_the_specification() {
    let (log, folder) = (Log::new(&[("a", 20)]), tempfile::tempdir().unwrap());
    let witness = open(&log, folder.path()).unwrap();
    assert_eq!(ask(&witness, &log.request(0, 8)).status, 200);
    let note = log.note(12);
    let foreign =
        Checkpoint { origin: "other.poa/1".to_owned(), ..Checkpoint::read_unverified(&note).unwrap() };
    let by_another = SigningKey::from_bytes(&[9; 32]);
    let unsigned = Checkpoint::read_unverified(&note).unwrap().sign(&by_another).unwrap();
    let request = |note: &str| AddCheckpoint { note: note.to_owned(), ..log.request(8, 12) };
    assert_eq!(witness.add_checkpoint(b"old 8").status, 400);
    assert_eq!(witness.add_checkpoint(&[0xff; 40]).status, 400);
    assert_eq!(ask(&witness, &request("no note\n")).status, 400);
    assert_eq!(ask(&witness, &request(&foreign.sign(&log.key).unwrap())).status, 404);
    assert_eq!(ask(&witness, &request(&unsigned)).status, 403);
    assert_eq!(ask(&witness, &request(&note.replace("12\n", "13\n"))).status, 403);
    assert_eq!(
        ask(&witness, &AddCheckpoint { old_size: 13, proof: Vec::new(), note: note.clone() }).status,
        400
    );
    assert_eq!(ask(&witness, &AddCheckpoint { proof: Vec::new(), ..log.request(8, 12) }).status, 422);
    assert_eq!(ask(&witness, &log.request(8, 12)).status, 200, "nothing of that was taken for a checkpoint");
}

#[test]
fn a_fork_is_not_cosigned_and_both_notes_are_kept() {
    let (log, fork) = (Log::new(&[("a", 20)]), Log::new(&[("a", 5), ("b", 15)]));
    let folder = tempfile::tempdir().unwrap();
    let witness = open(&log, folder.path()).unwrap();
    assert_eq!(ask(&witness, &log.request(0, 10)).status, 200);
    assert_eq!(ask(&witness, &fork.request(10, 10)).status, 409);
    assert_eq!(ask(&witness, &fork.request(10, 14)).status, 422);
    assert_eq!(ask(&witness, &fork.request(10, 14)).status, 422);
    let kept: Vec<String> = fs::read_dir(folder.path().join("evidence"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(kept.len(), 2, "each once");
    for text in kept {
        let kept: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(kept["cosigned"], log.note(10));
        assert!([fork.note(10), fork.note(14)].iter().any(|note| kept["shown"] == *note.as_str()));
    }
    assert_eq!(ask(&witness, &log.request(10, 20)).status, 200);
}

#[test]
fn of_two_forks_that_come_at_once_one_is_cosigned() {
    let (log, fork) = (Log::new(&[("a", 5), ("b", 15)]), Log::new(&[("a", 5), ("c", 15)]));
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let witness = open(&log, folder.path()).unwrap();
        assert_eq!(ask(&witness, &log.request(0, 5)).status, 200);
        let cosigned = std::thread::scope(|scope| {
            let asked: Vec<_> = [&log, &fork, &log, &fork]
                .into_iter()
                .map(|log| {
                    let (request, witness) = (log.request(5, 20), &witness);
                    scope.spawn(move || (log.note(20), ask(witness, &request).status))
                })
                .collect();
            let answers = asked.into_iter().map(|asked| asked.join().unwrap());
            answers.filter(|(_, status)| *status == 200).map(|(note, _)| note).collect::<Vec<_>>()
        });
        assert_eq!(cosigned.len(), 1);
        let kept = Kept::read(&kept::path(folder.path(), ORIGIN), ORIGIN).unwrap();
        assert_eq!(kept.note(), cosigned[0]);
    }
}

#[test]
fn what_was_cosigned_is_known_after_a_restart_even_where_nobody_got_the_answer() {
    let (log, fork) = (Log::new(&[("a", 20)]), Log::new(&[("a", 5), ("b", 15)]));
    let folder = tempfile::tempdir().unwrap();
    let witness = open(&log, folder.path()).unwrap();
    // The process dies after it has stored, and before anybody reads the answer.
    let _ = ask(&witness, &log.request(0, 10));
    drop(witness);
    let witness = open(&log, folder.path()).unwrap();
    let answer = ask(&witness, &log.request(0, 12));
    assert_eq!((answer.status, answer.body.as_str()), (409, "10\n"));
    assert_eq!(ask(&witness, &fork.request(10, 10)).status, 409);
    assert_eq!(ask(&witness, &log.request(10, 12)).status, 200);
}

#[test]
fn what_could_not_be_stored_is_not_cosigned() {
    let (log, folder) = (Log::new(&[("a", 20)]), tempfile::tempdir().unwrap());
    let witness = open(&log, folder.path()).unwrap();
    // A folder stands where the file would go.
    let path = kept::path(folder.path(), ORIGIN);
    fs::create_dir(&path).unwrap();
    assert_eq!(ask(&witness, &log.request(0, 5)).status, 500);
    assert_eq!(ask(&witness, &log.request(0, 5)).status, 500);
    fs::remove_dir(&path).unwrap();
    assert_eq!(ask(&witness, &log.request(0, 5)).status, 200);
}

#[test]
fn a_state_that_another_process_holds_or_that_is_broken_is_not_used() {
    let (log, folder) = (Log::new(&[("a", 20)]), tempfile::tempdir().unwrap());
    let witness = open(&log, folder.path()).unwrap();
    assert_eq!(open(&log, folder.path()).err().unwrap().exit(), Exit::Refused);
    assert_eq!(ask(&witness, &log.request(0, 5)).status, 200);
    drop(witness);
    let path = kept::path(folder.path(), ORIGIN);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(open(&log, folder.path()).err().unwrap().exit(), Exit::Unverified);
}

async fn http(address: std::net::SocketAddr, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("{head} HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // One that refuses a large body may have closed already.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, answer)
}

#[tokio::test]
async fn it_speaks_http_and_stops_when_it_is_told() {
    let (log, folder) = (Log::new(&[("a", 20)]), tempfile::tempdir().unwrap());
    let witness = Arc::new(open(&log, folder.path()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stopping = CancellationToken::new();
    let serving =
        tokio::spawn(server::serve(listener, Arc::clone(&witness), stopping.clone().cancelled_owned()));
    let (status, text) = http(address, "GET /", b"").await;
    assert!(status == 200 && text.contains("The witness w.example/w+"), "{text}");
    let add = "POST /add-checkpoint";
    let (status, text) = http(address, add, log.request(0, 10).to_body().as_bytes()).await;
    assert!(status == 200 && text.contains("\u{2014} w.example/w "), "{text}");
    let (status, text) = http(address, add, log.request(0, 10).to_body().as_bytes()).await;
    let typed = text.to_ascii_lowercase().contains("content-type: text/x.tlog.size\r\n");
    assert!(status == 409 && typed && text.ends_with("\r\n\r\n10\n"), "{text}");
    assert_eq!(http(address, add, b"nothing").await.0, 400);
    let mut large = log.request(10, 20).to_body().into_bytes();
    large.resize(poa_sdk::receipts::witness::MAX_REQUEST_BYTES + 1, b'a');
    assert_eq!(http(address, add, &large).await.0, 400);
    assert_eq!(http(address, "GET /add-checkpoint", b"").await.0, 405);
    assert_eq!(http(address, "GET /other", b"").await.0, 404);
    stopping.cancel();
    serving.await.unwrap().unwrap();
    drop(witness);
    assert!(open(&log, folder.path()).is_ok(), "its folder is free again");
}
