//! Proof of liabilities: the tree, the signed statement, the proof of one balance, and every way to forge it.

use poa_common::{AccountId, Msat, Network};
use proof_of_agent::liabilities::{
    Liabilities, LiabilitiesStatement, Parts, SALT_BYTES, SumNode, leaf, node, path, root,
};
use proof_of_agent::tlog::{EntryKind, LogEntry, inclusion_proof, leaf_hash, root as log_root};
use proof_of_agent::{
    BalanceProof, Checkpoint, DidKey, Digest, Envelope, LiabilitiesError, StatementError, VerifiedBalance,
    verify_balance,
};
use serde_json::{Value, json};

use crate::fixture::{NOW, ORIGIN, World, grow, id};

/// An account of a tree.
#[derive(Clone, Copy)]
pub(crate) struct Owed {
    account: AccountId,
    balance: Msat,
    salt: [u8; SALT_BYTES],
}

/// Accounts with these balances.
pub(crate) fn owed(balances: &[i64]) -> Vec<Owed> {
    let owed = (0_u8..).zip(balances).map(|(number, balance)| Owed {
        account: id(u128::from(number) + 1),
        balance: Msat::new(*balance),
        salt: [number; SALT_BYTES],
    });
    owed.collect()
}

/// A tree of accounts, in the order of their leaves' hashes.
pub(crate) fn tree(owed: &[Owed]) -> (Vec<Owed>, Vec<SumNode>) {
    let mut rows: Vec<(Owed, SumNode)> =
        owed.iter().map(|it| (*it, leaf(it.account, &it.salt, it.balance).unwrap())).collect();
    rows.sort_by_key(|(_, node)| node.hash);
    rows.into_iter().unzip()
}

/// Builds proofs that a test then spoils.
pub(crate) struct Forge {
    pub(crate) world: World,
    pub(crate) signer: u8,
    pub(crate) network: Network,
    pub(crate) origin: &'static str,
    pub(crate) stated: Liabilities,
    pub(crate) parts: Parts,
}

impl Forge {
    /// The proof of the account at a place of the tree over these balances.
    pub(crate) fn new(balances: &[i64], place: usize) -> Self {
        let (owed, leaves) = tree(&owed(balances));
        let top = root(&leaves).unwrap();
        let world = World::new();
        let stated = Liabilities {
            snapshot: id(70),
            root: top.hash,
            liabilities: top.sum,
            leaf_count: u64::try_from(leaves.len()).unwrap(),
            snapshot_time: NOW,
        };
        let own = owed[place];
        let parts = Parts {
            network: Network::Simulated,
            snapshot: id(70),
            account: own.account,
            balance: own.balance,
            salt: own.salt,
            leaf_index: u64::try_from(place).unwrap(),
            path: path(&leaves, place).unwrap(),
            envelope: world.sign(&world.paid()[0]),
            log_index: 2,
            log_proof: Vec::new(),
            checkpoint: String::new(),
        };
        Self { world, signer: 1, network: Network::Simulated, origin: ORIGIN, stated, parts }
    }

    /// Signs what is stated, and logs it as the third of five entries.
    pub(crate) fn logged(mut self) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[self.signer; 32]);
        let nonce = proof_of_agent::Nonce::new([9; 16]);
        let statement =
            LiabilitiesStatement::new(self.network, self.origin, DidKey::of(&key), nonce, &self.stated)
                .unwrap();
        self.parts.envelope = statement.sign(&key).unwrap();
        let entry = LogEntry::of_notice::<Liabilities>(&self.parts.envelope).unwrap().leaf_hash();
        let leaves: Vec<Digest> =
            (0..5_u8).map(|place| if place == 2 { entry } else { leaf_hash(&[place]) }).collect();
        let nodes = grow(&leaves);
        let checkpoint =
            Checkpoint { origin: ORIGIN.to_owned(), size: 5, root: log_root(5, &nodes).unwrap() };
        self.parts.log_proof = inclusion_proof(2, 5, &nodes).unwrap();
        self.parts.checkpoint = checkpoint.sign(&self.world.log).unwrap();
        self
    }

    pub(crate) fn proof(&self) -> BalanceProof {
        BalanceProof::new(self.parts.clone())
    }

    pub(crate) fn check(&self) -> Result<VerifiedBalance, LiabilitiesError> {
        verify_balance(&self.proof(), &self.world.trust_root(), 0, NOW)
    }
}

const BALANCES: [i64; 7] = [5, 1_000, 0, 70_000_000, 3, 999, 12];

#[test]
fn every_account_of_every_small_tree_is_proved_with_the_sum_of_all() {
    for count in 1..=17 {
        let balances: Vec<i64> = (0..count).map(|number| number * number).collect();
        let total: i64 = balances.iter().sum();
        for place in 0..balances.len() {
            let verified = Forge::new(&balances, place).logged().check().unwrap();
            assert_eq!(verified.liabilities, Msat::new(total));
            assert_eq!((verified.leaf_count, verified.log_size), (u64::try_from(count).unwrap(), 5));
            assert!(balances.contains(&verified.balance.get()));
            assert_eq!((verified.network, verified.snapshot_time), (Network::Simulated, NOW));
        }
    }
}

#[test]
fn the_root_of_the_parts_is_the_root_of_the_whole() {
    let balances: Vec<i64> = (1..=100).collect();
    let (_, leaves) = tree(&owed(&balances));
    for count in 1..=leaves.len() {
        let whole = root(&leaves[..count]).unwrap();
        for part in [1, 2, 8, 16, 64] {
            let parts: Vec<SumNode> = leaves[..count].chunks(part).map(|part| root(part).unwrap()).collect();
            assert_eq!(root(&parts).unwrap(), whole, "{count} in parts of {part}");
            let place = count - 1;
            let inner = path(leaves[..count].chunks(part).last().unwrap(), place % part).unwrap();
            let joined = [inner, path(&parts, place / part).unwrap()].concat();
            assert_eq!(joined, path(&leaves[..count], place).unwrap());
        }
    }
}

#[test]
fn no_balance_is_negative_and_no_sum_overflows() {
    let salt = [1; SALT_BYTES];
    for balance in [-1, i64::MIN, Msat::SUPPLY.get() + 1, i64::MAX] {
        assert_eq!(leaf(id(1), &salt, Msat::new(balance)), Err(LiabilitiesError::Amount));
    }
    let all = leaf(id(1), &salt, Msat::SUPPLY).unwrap();
    let one = leaf(id(2), &salt, Msat::new(1)).unwrap();
    assert_eq!(node(&all, &one), Err(LiabilitiesError::Amount));
    let negative = SumNode { sum: Msat::new(-1), ..one };
    assert_eq!(node(&all, &negative), Err(LiabilitiesError::Amount));
    assert_eq!(root(&[negative]), Err(LiabilitiesError::Amount));
    let most = SumNode { sum: Msat::new(i64::MAX), ..one };
    assert_eq!(node(&most, &most), Err(LiabilitiesError::Amount));
    assert_eq!(root(&[]), Err(LiabilitiesError::Place));
    assert_eq!(path(&[one], 1), Err(LiabilitiesError::Place));
}

#[test]
fn a_node_commits_to_the_sum_of_each_side() {
    let (one, two) =
        (leaf(id(1), &[1; 32], Msat::new(5)).unwrap(), leaf(id(2), &[2; 32], Msat::new(7)).unwrap());
    let whole = node(&one, &two).unwrap();
    let shifted = node(&SumNode { sum: Msat::new(4), ..one }, &SumNode { sum: Msat::new(8), ..two }).unwrap();
    assert_eq!(whole.sum, shifted.sum);
    assert_ne!(whole.hash, shifted.hash);
    assert_ne!(whole.hash, node(&two, &one).unwrap().hash);
}

#[test]
fn a_statement_reads_back_and_is_none_of_a_task() {
    let forge = Forge::new(&BALANCES, 0).logged();
    let envelope = &forge.parts.envelope;
    let statement = LiabilitiesStatement::open(envelope).unwrap();
    assert_eq!(statement.notice(), &forge.stated);
    assert_eq!((statement.network(), statement.origin()), (Network::Simulated, ORIGIN));
    // Neither is taken for the other.
    assert!(matches!(
        proof_of_agent::Statement::parse(envelope.payload()),
        Err(StatementError::UnknownType(_))
    ));
    let receipt = forge.world.sign(&forge.world.paid()[0]);
    assert!(
        LiabilitiesStatement::open(&receipt).is_err()
            && LogEntry::of_notice::<Liabilities>(&receipt).is_err()
    );
    let entry = LogEntry::of_notice::<Liabilities>(envelope).unwrap();
    assert_eq!((entry.kind, entry.encode()[1]), (EntryKind::Liabilities, 7));
    assert_eq!(LogEntry::decode(&entry.encode()), Ok(entry));
}

#[test]
fn a_statement_that_breaks_a_rule_is_refused() {
    let forge = Forge::new(&BALANCES, 0).logged();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(forge.parts.envelope.payload()).unwrap();
        edit(&mut value);
        LiabilitiesStatement::parse(&serde_json::to_vec(&value).unwrap())
    };
    assert!(edited(&|_| {}).is_ok());
    assert!(
        edited(&|value| value["predicate"]["more"] = json!(1)).is_ok(),
        "unknown fields are ignored, and signed"
    );
    let uri = "urn:uuid:6ebeb7d1-33c1-44dd-946e-1f07280a6e9f#Liabilities/v2";
    assert_eq!(
        edited(&|value| value["predicateType"] = json!(uri)),
        Err(StatementError::UnknownVersion(uri.to_owned()))
    );
    type Edit = fn(&mut Value);
    let edits: [Edit; 12] = [
        |value| value["_type"] = json!("x"),
        |value| value["predicateType"] = json!("x"),
        |value| value["subject"][0]["name"] = json!("terms"),
        |value| value["subject"] = json!([]),
        |value| value["predicate"]["signerRole"] = json!("agent"),
        |value| value["predicate"]["logOrigin"] = json!("a b"),
        |value| value["predicate"]["nonce"] = json!("00"),
        |value| value["predicate"]["body"]["leafCount"] = json!(0),
        |value| value["predicate"]["body"]["leafCount"] = json!((1_u64 << 40) + 1),
        |value| value["predicate"]["body"]["liabilitiesMsat"] = json!("-1"),
        |value| value["predicate"]["body"]["liabilitiesMsat"] = json!("2100000000000000001"),
        |value| {
            value["predicate"]["body"] =
                json!(["liab_00000000000000000000000026", "1", 1, "2026-01-02T03:04:05Z"])
        },
    ];
    for (place, edit) in edits.iter().enumerate() {
        assert!(edited(edit).is_err(), "edit {place}");
    }
}

#[test]
fn a_flipped_bit_is_refused_or_changes_nothing() {
    let forge = Forge::new(&BALANCES, 3).logged();
    let (bytes, genuine) = (forge.proof().to_json().unwrap(), forge.check().unwrap());
    let root = forge.world.trust_root();
    let mut refused = 0;
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let verified =
            BalanceProof::from_json(&changed).and_then(|proof| verify_balance(&proof, &root, 0, NOW));
        match verified {
            Ok(verified) => assert_eq!(verified, genuine, "bit {bit}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > bytes.len() * 7, "{refused} of {}", bytes.len() * 8);
}

#[test]
fn what_a_verifier_demands_beyond_the_proof_is_checked() {
    let forge = Forge::new(&BALANCES, 1).logged();
    let (proof, trust_root) = (forge.proof(), forge.world.trust_root());
    assert!(verify_balance(&proof, &trust_root, 5, NOW).is_ok());
    assert_eq!(
        verify_balance(&proof, &trust_root, 6, NOW),
        Err(LiabilitiesError::LogShrank { expected: 6, found: 5 })
    );
    let mut expired: Value = serde_json::from_slice(&trust_root.to_json().unwrap()).unwrap();
    expired["expires"] = json!("2026-01-01T00:00:00Z");
    let expired = proof_of_agent::TrustRoot::from_json(&serde_json::to_vec(&expired).unwrap()).unwrap();
    assert!(matches!(
        verify_balance(&proof, &expired, 0, NOW),
        Err(LiabilitiesError::TrustRootExpired { .. })
    ));
    let read = BalanceProof::from_json(&proof.to_json().unwrap()).unwrap();
    assert_eq!(read, proof);
    assert!(Envelope::from_json(&proof.envelope.to_json()).is_ok());
}
