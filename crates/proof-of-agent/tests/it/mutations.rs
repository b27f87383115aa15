//! Bytes that are almost what a parser reads: none makes it panic, and what it reads it writes back to the same.

use proof_of_agent::reputation::{Facts, Record};
use proof_of_agent::tlog::{LogEntry, Tile, read_entries, write_entries};
use proof_of_agent::witness::AddCheckpoint;
use proof_of_agent::{
    AgentVersion, Bundle, Checkpoint, Envelope, KeyEvent, NoticeStatement, Statement, TrustRoot,
};

use crate::fixture::World;
use crate::plan::{Plan, key, receipt, trusted, version, version_stated, witnessed};
use crate::random::Random;

/// How many bytes are tried, of which at least so many are read: else the mutations would be too coarse to show anything.
struct Bounds {
    tries: usize,
    read: usize,
}

/// What stands in such texts, and what breaks parsers.
const WORDS: [&[u8]; 24] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"0",
    b"-1",
    b"1e9",
    b"9007199254740992",
    b"\\u0000",
    b"\\ud800",
    b"\n",
    b"\n\n",
    b"\r",
    b"+",
    b"/",
    b"=",
    b"\xff",
    b"\xe2\x80\x94 ",
    b"18446744073709551616",
    b" ",
];

/// One small change at a time, up to three.
fn mutated(random: &mut Random, seed: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return bytes;
        }
        let place = random.place(bytes.len());
        match random.below(7) {
            0 => bytes[place] ^= 1 << random.below(8),
            1 => drop(bytes.remove(place)),
            2 => bytes.insert(place, u8::try_from(random.below(256)).unwrap()),
            3 => bytes.truncate(place),
            4 => {
                let word = WORDS[random.place(WORDS.len())];
                bytes.splice(place..place, word.iter().copied());
            }
            5 => {
                let end = (place + random.place(40)).min(bytes.len());
                let part = bytes[place..end].to_vec();
                bytes.splice(place..place, part);
            }
            _ => {
                let other = random.place(bytes.len());
                bytes.swap(place, other);
            }
        }
    }
    bytes
}

/// Whether a reader reads what it wrote as the same; none where it reads nothing.
fn try_all(bounds: &Bounds, seeds: &[Vec<u8>], reads_back: &dyn Fn(&[u8]) -> Option<bool>) {
    let mut random = Random::new(5);
    let mut read = 0;
    for seed in seeds {
        assert_eq!(reads_back(seed), Some(true));
    }
    for _ in 0..bounds.tries {
        let seed = random.place(seeds.len());
        let bytes = mutated(&mut random, &seeds[seed]);
        if let Some(same) = reads_back(&bytes) {
            assert!(same, "{}", String::from_utf8_lossy(&bytes));
            read += 1;
        }
    }
    assert!(read >= bounds.read, "{read} of {} were read", bounds.tries);
}

fn text(it: &impl ToString) -> Vec<u8> {
    it.to_string().into_bytes()
}

#[test]
fn bundles() {
    let world = World::new();
    let seeds = [receipt(&world, &world.paid()), receipt(&world, &world.paid()[..1])];
    let seeds = seeds.map(|bundle| bundle.to_json().unwrap());
    try_all(&Bounds { tries: 2_000, read: 50 }, &seeds, &|bytes| {
        let bundle = Bundle::from_json(bytes).ok()?;
        Some(Bundle::from_json(&bundle.to_json().ok()?) == Ok(bundle))
    });
}

#[test]
fn envelopes() {
    let world = World::new();
    let seeds: Vec<Vec<u8>> = world.sign_all(&world.paid()).iter().map(Envelope::to_json).collect();
    try_all(&Bounds { tries: 6_000, read: 300 }, &seeds, &|bytes| {
        let envelope = Envelope::from_json(bytes).ok()?;
        let _ = envelope.open();
        Some(Envelope::from_json(&envelope.to_json()) == Ok(envelope))
    });
}

#[test]
fn statements() {
    let seeds: Vec<Vec<u8>> = World::new().paid().iter().map(|it| it.payload().to_vec()).collect();
    try_all(&Bounds { tries: 6_000, read: 80 }, &seeds, &|bytes| {
        let statement = Statement::parse(bytes).ok()?;
        // What was read is returned byte for byte, and what it says is written to something that says the same.
        let exact =
            statement.payload() == bytes && Statement::parse(statement.payload()) == Ok(statement.clone());
        let context = statement.context();
        let author = proof_of_agent::Author::platform_for_requester(context.signer, context.nonce);
        let rebuilt = statement.body().as_terms_offered().is_none_or(|terms| {
            let again =
                Statement::offer(context.task, context.network, &context.origin, author, terms.clone());
            again.is_ok_and(|again| again.body() == statement.body())
        });
        Some(exact && rebuilt)
    });
}

#[test]
fn notices() {
    let world = World::new();
    let events = [
        world.registration(),
        crate::plan::rotation(&world, proof_of_agent::notice::KeyReason::Superseded, None),
    ];
    let events = events.map(|event| world.stated(&event).payload().to_vec());
    try_all(&Bounds { tries: 4_000, read: 20 }, &events, &|bytes| {
        let statement = NoticeStatement::<KeyEvent>::parse(bytes).ok()?;
        let (network, origin, signer) = (statement.network(), statement.origin(), statement.signer());
        let nonce = proof_of_agent::Nonce::new([1; 16]);
        let again = NoticeStatement::new(network, origin, signer, nonce, statement.notice()).ok()?;
        Some(statement.payload() == bytes && again.notice() == statement.notice())
    });
    let versions = [version_stated(&version(), 2).payload().to_vec()];
    try_all(&Bounds { tries: 2_000, read: 20 }, &versions, &|bytes| {
        let statement = NoticeStatement::<AgentVersion>::parse(bytes).ok()?;
        Some(statement.payload() == bytes)
    });
}

#[test]
fn trust_roots() {
    let signed = TrustRoot::of(trusted()).unwrap().sign(&key(7)).unwrap();
    let seeds = [signed, TrustRoot::of(witnessed(2)).unwrap()].map(|root| root.to_json().unwrap());
    try_all(&Bounds { tries: 4_000, read: 30 }, &seeds, &|bytes| {
        let root = TrustRoot::from_json(bytes).ok()?;
        Some(TrustRoot::from_json(&root.to_json().ok()?) == Ok(root))
    });
}

#[test]
fn notes_and_requests_to_a_witness() {
    let world = World::new();
    let plan = Plan { seen_by: vec![0, 1], ..Plan::of(&world, &world.paid()) };
    let note = plan.bundle().checkpoint;
    try_all(&Bounds { tries: 6_000, read: 50 }, &[text(&note)], &|bytes| {
        let note = std::str::from_utf8(bytes).ok()?;
        let checkpoint = Checkpoint::read_unverified(note).ok()?;
        let again = checkpoint.sign(&key(4)).unwrap();
        Some(Checkpoint::read_unverified(&again) == Ok(checkpoint))
    });
    let request = AddCheckpoint { old_size: 3, proof: vec![proof_of_agent::Digest::of(b"a"); 2], note };
    try_all(&Bounds { tries: 6_000, read: 1_000 }, &[text(&request.to_body())], &|bytes| {
        let request = AddCheckpoint::parse(bytes).ok()?;
        let _ = request.judge(&trusted().log_keys, None);
        Some(AddCheckpoint::parse(request.to_body().as_bytes()) == Ok(request))
    });
}

#[test]
fn tiles() {
    let seeds = ["0/x001/067", "1/000.p/17", "entries/x001/x234/067.p/1", "6/000"];
    let seeds = seeds.map(|path| path.as_bytes().to_vec());
    try_all(&Bounds { tries: 20_000, read: 500 }, &seeds, &|bytes| {
        let path = std::str::from_utf8(bytes).ok()?;
        let tile = Tile::parse(path)?;
        let _ = (tile.nodes().count(), tile.is_in_tree(u64::MAX));
        Some(tile.to_string() == path)
    });
}

#[test]
fn entries_and_records() {
    let world = World::new();
    let paid = world.paid();
    let record = Facts::of(&world.chain(&paid[..5]), &paid[5]).map(crate::fixture::record);
    let with_record = LogEntry::of(&world.sign(&paid[5])).unwrap().with_record(record);
    let entries = [LogEntry::of(&world.sign(&paid[0])).unwrap().encode(), with_record.encode()];
    try_all(&Bounds { tries: 20_000, read: 1_000 }, &entries, &|bytes| {
        Some(LogEntry::decode(bytes).ok()?.encode() == bytes)
    });
    let bundle = write_entries(entries.iter().map(Vec::as_slice));
    try_all(&Bounds { tries: 10_000, read: 500 }, &[bundle], &|bytes| {
        let encoded: Vec<Vec<u8>> = read_entries(bytes).ok()?.iter().map(LogEntry::encode).collect();
        Some(write_entries(encoded.iter().map(Vec::as_slice)) == bytes)
    });
    try_all(&Bounds { tries: 20_000, read: 1_000 }, &[record.unwrap().encode().to_vec()], &|bytes| {
        Some(Record::decode(bytes)?.encode() == bytes)
    });
}
