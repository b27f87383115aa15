//! The small vectors: one file for each kind of bytes, each a list of what goes in and what comes out.

use ed25519_dalek::Signer as _;
use proof_of_agent::chain::receipt_path;
use proof_of_agent::checkpoint::tlog_proof;
use proof_of_agent::dsse::{PAYLOAD_TYPE, pae, statement_digest};
use proof_of_agent::notice::{KeyChange, KeyReason, Notice, registration_text};
use proof_of_agent::reputation::{Facts, Ledger, Pseudonym, RECORD_BYTES, Record, Verdict, bucket};
use proof_of_agent::tlog::{
    LogEntry, Slot, Tile, TileKind, consistency_proof, inclusion_proof, leaf_hash, root, write_entries,
};
use proof_of_agent::{Checkpoint, DidKey, Digest, LogKey};
use serde_json::{Value, json};
use time::macros::datetime;

use super::{folder, is_writing, pretty, trust_roots, write};
use crate::fixture::{NOW, ORIGIN, World, grow, id};
use crate::plan::{Plan, SEEN_AT, WITNESSES, did, key, rotation, version, witness_key};

fn files() -> Vec<(String, Vec<u8>)> {
    [
        ("dsse", dsse()),
        ("did-key", did_keys()),
        ("slots", slots()),
        ("leaves", leaves()),
        ("records", records()),
        ("key-events", key_events()),
        ("notes", notes()),
        ("tiles", tiles()),
        ("merkle", merkle()),
        ("reputation", reputation()),
        ("receipt-path", paths()),
    ]
    .map(|(name, value)| (format!("encodings/{name}.json"), pretty(&value)))
    .to_vec()
}

#[test]
fn the_small_vectors_are_what_the_code_makes() {
    let files = files();
    if is_writing() {
        write(&files);
    }
    for (name, bytes) in &files {
        assert!(std::fs::read(folder().join(name)).unwrap() == *bytes, "{name}");
    }
    let stored = std::fs::read_dir(folder().join("encodings")).unwrap().count();
    assert_eq!(stored, files.len());
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn dsse() -> Value {
    let specification = (("http://example.com/HelloWorld", "hello world"), false);
    let own = [
        ((PAYLOAD_TYPE, ""), true),
        ((PAYLOAD_TYPE, "{}"), true),
        ((PAYLOAD_TYPE, "{\"a\":\"ä\u{1f916}\"}"), true),
    ];
    let rows = std::iter::once(specification).chain(own).map(|((kind, payload), is_statement)| {
        let mut row = json!({ "payloadType": kind, "payload": payload });
        row["pae"] = json!(text(&pae(kind, payload.as_bytes())));
        if is_statement {
            row["digest"] = json!(statement_digest(payload.as_bytes()));
            row["signer"] = json!(did(1));
            row["signature"] = json!(hex::encode(key(1).sign(&pae(kind, payload.as_bytes())).to_bytes()));
        }
        row
    });
    rows.collect()
}

fn did_keys() -> Value {
    let named = (1..=16).map(|seed| {
        json!({ "seed": hex::encode([seed; 32]), "publicKey": hex::encode(did(seed).as_bytes()), "did": did(seed) })
    });
    let named: Vec<Value> = named.collect();
    let good = did(1).to_string();
    let mut no_point = vec![0xed, 0x01, 2];
    no_point.resize(34, 0);
    let spelt = |bytes: &[u8]| format!("did:key:z{}", trust_roots::bs58(bytes));
    let refused = [
        ("the neutral element", trust_roots::small_order()),
        ("no point of the curve", spelt(&no_point)),
        ("a number above the field's", spelt(&super::spoilt_statements::unreduced_point())),
        ("a byte too few", spelt(&[&[0xed, 0x01], &did(1).as_bytes()[..31]].concat())),
        ("a byte too many", spelt(&[&[0xed, 0x01], did(1).as_bytes().as_slice(), &[0]].concat())),
        ("another curve", "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme".to_owned()),
        ("another base", good.replacen(":z", ":f", 1)),
        ("another method", good.replacen("did:key", "did:web", 1)),
        ("a fragment", format!("{good}#{}", &good[8..])),
        ("upper case", good.to_uppercase()),
        ("a leading one", good.replacen(":z", ":z1", 1)),
        ("nothing", String::new()),
    ];
    let refused: Vec<Value> = refused
        .into_iter()
        .map(|(why, text)| {
            assert!(text.parse::<DidKey>().is_err(), "{text}");
            json!({ "text": text, "why": why })
        })
        .collect();
    json!({ "keys": named, "refused": refused })
}

fn slots() -> Value {
    let (terms, task, agent) = (Digest::of(b"terms"), id(7), id(5));
    let row = |kind: &str, slot: Slot, content: Value| json!({ "kind": kind, "of": content, "slot": slot.digest() });
    json!([
        row("offer", Slot::offer(&task), json!({ "task": task })),
        row("claim", Slot::claim(&terms, 1), json!({ "terms": terms, "claimNumber": 1 })),
        row("claim", Slot::claim(&terms, 258), json!({ "terms": terms, "claimNumber": 258 })),
        row("next", Slot::next(&terms), json!({ "predecessor": terms })),
        row("key", Slot::key_event(&agent, 1), json!({ "agent": agent, "sequence": 1 })),
        row("key", Slot::key_event(&agent, 10), json!({ "agent": agent, "sequence": 10 })),
        row("version", Slot::agent_version(&agent, "1.4.0"), json!({ "agent": agent, "version": "1.4.0" })),
        row(
            "liabilities",
            Slot::liabilities(&id(70)),
            json!({ "snapshot": id::<poa_common::LiabilitiesId>(70) })
        ),
    ])
}

/// The entries of the receipts: statement by statement, and the notices.
fn leaves() -> Value {
    let world = World::new();
    let plan = Plan { version: None, ..Plan::of(&world, &world.paid()) };
    let bundle = plan.bundle();
    let row = |envelope: &proof_of_agent::Envelope, entry: LogEntry| {
        json!({
            "envelope": envelope,
            "record": entry.record,
            "kind": entry.kind.number(),
            "slot": entry.slot.digest(),
            "entry": hex::encode(entry.encode()),
            "leafHash": entry.leaf_hash(),
        })
    };
    let mut rows: Vec<Value> = bundle
        .entries
        .iter()
        .map(|entry| {
            let leaf = LogEntry::of(&entry.envelope).unwrap().with_record(entry.record);
            row(&entry.envelope, leaf)
        })
        .collect();
    let event = &bundle.key_events[0].envelope;
    rows.push(row(event, LogEntry::of_notice::<proof_of_agent::KeyEvent>(event).unwrap()));
    let version = crate::plan::version_stated(&version(), 2).sign(&key(2)).unwrap();
    rows.push(row(&version, LogEntry::of_notice::<proof_of_agent::AgentVersion>(&version).unwrap()));
    let entries: Vec<Vec<u8>> =
        rows.iter().map(|row| hex::decode(row["entry"].as_str().unwrap()).unwrap()).collect();
    let file = write_entries(entries.iter().map(Vec::as_slice));
    json!({ "leaves": rows, "entryBundle": hex::encode(file) })
}

/// The largest bucket that a record may have.
const MOST_BITS: u8 = 64;

fn a_record(verdict: Verdict, requester: u8, standing: u8, fee: i64, day: u32) -> Record {
    let fee = poa_common::Msat::new(fee);
    let facts = Facts {
        agent: id(5),
        verdict,
        amount_bucket: if fee.get() > 0 { (bucket(fee) + 4).min(MOST_BITS) } else { 0 },
        fee_bucket: bucket(fee),
        on_time: verdict != Verdict::Lapsed,
        self_dealing: false,
        day,
    };
    Record { facts, requester: Pseudonym::new([requester; 16]), standing }
}

fn records() -> Value {
    let shown = |record: &Record| {
        let facts = &record.facts;
        json!({
            "bytes": record,
            "agent": facts.agent,
            "requester": hex::encode(record.requester.as_bytes()),
            "verdict": facts.verdict,
            "amountBucket": facts.amount_bucket,
            "feeBucket": facts.fee_bucket,
            "onTime": facts.on_time,
            "selfDealing": facts.self_dealing,
            "standing": record.standing,
            "day": facts.day,
        })
    };
    let mut read: Vec<Value> = (1_u8..)
        .zip(Verdict::ALL)
        .map(|(n, verdict)| shown(&a_record(verdict, n, n, 5_049, 20_455)))
        .collect();
    // Everything is at its most, and at its least.
    let mut own = a_record(Verdict::Accepted, 200, MOST_BITS, i64::MAX, u32::MAX);
    (own.facts.self_dealing, own.facts.fee_bucket) = (true, MOST_BITS);
    let least = a_record(Verdict::Lapsed, 0, 0, 0, 0);
    for record in [&own, &least] {
        assert_eq!(Record::decode(&record.encode()), Some(*record));
        read.push(shown(record));
    }
    // Each breaks one rule of a record that is sound.
    let good = own.encode();
    let refused = [
        (0, 0, "version"),
        (0, 2, "version"),
        (33, 0, "verdict"),
        (33, 9, "verdict"),
        (34, 65, "bucket"),
        (35, 65, "bucket"),
        (34, 255, "bucket"),
        (36, 4, "flags"),
        (36, 131, "flags"),
        (37, 65, "bucket"),
    ];
    let mut refused: Vec<Value> = refused
        .into_iter()
        .map(|(place, to, why)| {
            let mut bytes = good;
            bytes[place] = to;
            assert_eq!(Record::decode(&bytes), None);
            json!({ "bytes": hex::encode(bytes), "why": why })
        })
        .collect();
    refused.push(json!({ "bytes": hex::encode(&good[..RECORD_BYTES - 1]), "why": "length" }));
    refused.push(json!({ "bytes": hex::encode(good).to_uppercase(), "why": "upper case" }));
    refused.push(json!({ "bytes": format!("{}00", hex::encode(good)), "why": "length" }));
    let buckets = [0, 1, 2, 3, 4, 1_023, 1_024, 100_999, 2_100_000_000_000_000_000];
    let buckets: Vec<Value> = buckets
        .iter()
        .map(|amount| json!({ "msat": amount.to_string(), "bucket": bucket(poa_common::Msat::new(*amount)) }))
        .collect();
    json!({ "records": read, "refused": refused, "buckets": buckets })
}

fn key_events() -> Value {
    let (agent, account) = (id::<poa_common::AgentId>(5), id::<poa_common::AccountId>(2));
    let registration = registration_text(&account, &did(2));
    let changes = [
        (Some(did(8)), KeyReason::Superseded, None),
        (Some(did(8)), KeyReason::Compromised, Some(NOW)),
        (None, KeyReason::Superseded, None),
        (None, KeyReason::Compromised, Some(datetime!(2026-01-02 03:04:05 UTC))),
        (None, KeyReason::Compromised, Some(datetime!(2026-01-02 03:04:05.100 UTC))),
    ];
    let signed = |text: &str, seeds: &[u8]| -> Vec<Value> {
        let proof = |seed: u8| hex::encode(key(seed).sign(text.as_bytes()).to_bytes());
        seeds.iter().map(|seed| json!({ "key": did(*seed), "signature": proof(*seed) })).collect()
    };
    let changes: Vec<Value> = changes
        .into_iter()
        .map(|(new_key, reason, compromised_since)| {
            let change = KeyChange { agent, sequence: 2, key: did(2), new_key, reason, compromised_since };
            let seeds: &[u8] = if new_key.is_some() { &[2, 8] } else { &[2] };
            json!({
                "agent": agent,
                "sequence": 2,
                "key": did(2),
                "newKey": new_key,
                "reason": reason,
                "compromisedSince": compromised_since.map(super::rfc3339),
                "text": change.text(),
                "signatures": signed(&change.text(), seeds),
            })
        })
        .collect();
    let world = World::new();
    let events = [
        world.registration(),
        rotation(&world, KeyReason::Superseded, None),
        rotation(&world, KeyReason::Compromised, Some(NOW)),
        crate::plan::revocation(&world, KeyReason::Compromised, Some(NOW)),
    ];
    let events: Vec<Value> = events
        .iter()
        .map(|event| {
            let stated = world.stated(event);
            json!({ "statement": text(stated.payload()), "digest": stated.digest(), "slot": event.slot().digest() })
        })
        .collect();
    json!({
        "registration": {
            "account": account,
            "key": did(2),
            "text": registration,
            "signatures": signed(&registration, &[2]),
        },
        "changes": changes,
        "events": events,
    })
}

fn notes() -> Value {
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 42, root: Digest::of(b"root") };
    let signed = checkpoint.sign(&key(4)).unwrap();
    let cosignatures: Vec<Value> = (0..3)
        .map(|place| {
            let key = key(WITNESSES[place]);
            let line = witness_key(place).cosign(&checkpoint.text(), SEEN_AT, &key);
            json!({ "key": witness_key(place), "time": SEEN_AT, "line": line })
        })
        .collect();
    let hashes = [Digest::of(b"a"), Digest::of(b"b")];
    let request = |old_size, proof: &[Digest]| {
        proof_of_agent::witness::AddCheckpoint { old_size, proof: proof.to_vec(), note: signed.clone() }
            .to_body()
    };
    json!({
        "logKey": LogKey::new(ORIGIN, did(4)).unwrap(),
        "checkpoint": { "origin": ORIGIN, "size": 42, "root": checkpoint.root },
        "text": checkpoint.text(),
        "signed": signed,
        "cosignatures": cosignatures,
        "tlogProofs": [
            { "index": 0, "hashes": [], "file": tlog_proof(0, &[], &signed) },
            { "index": 7, "hashes": hashes, "file": tlog_proof(7, &hashes, &signed) },
        ],
        "addCheckpoint": [
            { "oldSize": 0, "proof": [], "body": request(0, &[]) },
            { "oldSize": 41, "proof": hashes, "body": request(41, &hashes) },
        ],
    })
}

fn tiles() -> Value {
    let shown = |kind: TileKind| match kind {
        TileKind::Hashes(level) => json!(level),
        TileKind::Entries => json!("entries"),
    };
    let named = [
        (TileKind::Hashes(0), 0, 256),
        (TileKind::Hashes(0), 999, 256),
        (TileKind::Hashes(0), 1_000, 1),
        (TileKind::Hashes(1), 1_234_067, 256),
        (TileKind::Hashes(6), 0, 31),
        (TileKind::Entries, 67, 17),
    ];
    let named: Vec<Value> = named
        .into_iter()
        .map(|(kind, index, width)| {
            let path = Tile { kind, index, width }.to_string();
            json!({ "level": shown(kind), "index": index, "width": width, "path": path })
        })
        .collect();
    let of_sizes = [0, 1, 255, 256, 257, 70_000].map(|size: u64| {
        let kinds = [TileKind::Hashes(0), TileKind::Hashes(1), TileKind::Hashes(2), TileKind::Entries];
        let last = |kind| (0..300).filter_map(|index| Tile::in_tree(kind, index, size)).next_back();
        let last: Vec<String> = kinds.into_iter().filter_map(last).map(|tile| tile.to_string()).collect();
        json!({ "size": size, "lastTiles": last })
    });
    let refused =
        ["0/0", "0/0000", "0/x000/001", "0/000.p/256", "0/000.p/0", "00/000", "7/000", "6/001", "entry/000"];
    assert!(refused.iter().all(|path| Tile::parse(path).is_none()));
    json!({ "tiles": named, "sizes": of_sizes, "refused": refused })
}

/// Every proof of every tree of up to nine leaves. Leaf `n` is the one byte `n`.
fn merkle() -> Value {
    let leaves: Vec<Digest> = (0_u8..9).map(|leaf| leaf_hash(&[leaf])).collect();
    let nodes = grow(&leaves);
    let trees: Vec<Value> = (0..=9)
        .map(|size: u64| {
            let inclusion: Vec<Vec<Digest>> =
                (0..size).map(|index| inclusion_proof(index, size, &nodes).unwrap()).collect();
            let consistency: Vec<Vec<Digest>> =
                (0..=size).map(|old| consistency_proof(old, size, &nodes).unwrap()).collect();
            json!({
                "size": size,
                "root": root(size, &nodes).unwrap(),
                "inclusion": inclusion,
                "consistency": consistency,
            })
        })
        .collect();
    json!({ "leafHashes": leaves, "trees": trees })
}

fn reputation() -> Value {
    let day = 20_455;
    let many = |count: usize, requester: u8, standing: u8, fee: i64| {
        vec![a_record(Verdict::Accepted, requester, standing, fee, day); count]
    };
    let mut own = a_record(Verdict::Accepted, 9, 20, 5_049, day);
    own.facts.self_dealing = true;
    let old = |age: u32| vec![a_record(Verdict::CriteriaMet, 1, 20, 65_536, day - age)];
    let everything: Vec<Record> = (1_u8..)
        .zip(Verdict::ALL)
        .flat_map(|(n, verdict)| {
            [0, 30, 100].map(|age| a_record(verdict, n % 3, 4 * n, 1_000 * i64::from(n), day - age))
        })
        .chain([own])
        .collect();
    let verdicts = Verdict::ALL.into_iter().cycle();
    let mixed: Vec<Record> = (0_u8..=250)
        .zip(verdicts)
        .map(|(n, verdict)| {
            let (fee, age) = (1_i64 << (n % 21), u32::from(n) * 7 % 400);
            a_record(verdict, n % 17, n % 23, fee, day - age)
        })
        .collect();
    let lists = [
        ("nothing", vec![]),
        ("many of everything", mixed),
        ("one", many(1, 1, 20, 5_049)),
        ("one of a stranger", many(1, 1, 0, 5_049)),
        ("many of one requester", many(100, 1, 20, 5_049)),
        ("many of many requesters", (1..=100).flat_map(|requester| many(1, requester, 20, 5_049)).collect()),
        ("an enormous fee", many(1, 1, 20, 2_100_000_000_000_000_000)),
        ("89 days old", old(89)),
        ("90 days old", old(90)),
        ("180 days old", old(180)),
        ("older than all", old(20_000)),
        ("self-dealing alone", vec![own]),
        ("everything", everything),
    ];
    let rows = lists.into_iter().map(|(name, records)| {
        let mut ledger = Ledger::default();
        assert!(records.iter().all(|record| Record::decode(&record.encode()) == Some(*record)));
        records.iter().for_each(|record| ledger.add(*record));
        json!({ "name": name, "day": day, "records": records, "reputation": ledger.reputation(id(5), day) })
    });
    rows.collect()
}

/// Which statements of a task a receipt needs, by the digest of each and of its predecessor.
fn paths() -> Value {
    let world = World::new();
    let plans = [Plan::of(&world, &World::new().paid()), super::sound::reclaimed(&World::new())];
    let rows = plans.iter().map(|plan| {
        let statements: Vec<_> = plan.statements.iter().map(|placed| placed.statement.clone()).collect();
        let links: Vec<Value> = statements
            .iter()
            .map(|it| json!({ "digest": it.digest(), "predecessor": it.context().predecessor }))
            .collect();
        json!({ "statements": links, "path": receipt_path(&statements) })
    });
    rows.collect()
}
