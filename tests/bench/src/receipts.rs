//! What receipts and their log cost in memory, against the signatures that no receipt can do without: the floor is
//! `ed25519-dalek` alone, in the same round.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use poa_sdk::Env;
use poa_sdk::receipts::tlog::{self, HashReader, Node};
use poa_sdk::receipts::{
    Author, Bundle, DidKey, Digest, Envelope, Nonce, Policy, Statement, TermsAccepted, TrustRoot, verify,
};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::numbers::{float, per_second};

/// Leaves of the tree that grows and that places are proved in.
const LEAVES: u64 = 1_000_000;
/// Leaves of one append: a busy quarter of a second.
const APPENDED: u64 = 256;
/// Steps through the tree by a number without a common factor: every place comes, none twice in a row.
pub(crate) const STRIDE: u64 = 611_953;
/// A task that was paid, as the vectors of every language have it.
pub(crate) const BUNDLE: &[u8] = include_bytes!("../../vectors/receipts/sound/paid-by-criteria.json");
const TRUST_ROOT: &[u8] = include_bytes!("../../vectors/receipts/trust-roots/plain.json");

/// One round, in microseconds a piece.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Receipts {
    /// The floor: the signature of a statement's bytes.
    pub(crate) bare_sign: f64,
    /// The floor: its strict verification.
    pub(crate) bare_verify: f64,
    /// A statement made, signed and written as an envelope.
    pub(crate) sign: f64,
    /// An envelope read, its signature verified, its statement checked.
    pub(crate) open: f64,
    /// A whole receipt read and verified.
    pub(crate) verify: f64,
    /// Signatures that stand in it: of its statements, of key events, of the checkpoint.
    pub(crate) signatures: f64,
    /// A leaf appended to a log of a million, its share of the new root included.
    pub(crate) append: f64,
    /// A place in a log of a million proved.
    pub(crate) prove: f64,
    /// That proof verified.
    pub(crate) verify_proof: f64,
    /// Bytes of that proof.
    pub(crate) proof_bytes: f64,
}

/// What is measured, made once.
pub(crate) struct Bench {
    key: SigningKey,
    nonce: Nonce,
    offer: Statement,
    accepted: TermsAccepted,
    trust_root: TrustRoot,
    signatures: usize,
    tree: HashMap<Node, Digest>,
    root: Digest,
}

/// A tree and what was just appended to it.
struct Grown<'t> {
    tree: &'t HashMap<Node, Digest>,
    made: HashMap<Node, Digest>,
}

// === impl Bench ===

impl Bench {
    /// Reads the receipt and plants the tree.
    pub(crate) fn new(env: &Env) -> Result<Self, Failure> {
        let bundle = Bundle::from_json(BUNDLE)?;
        let trust_root = TrustRoot::from_json(TRUST_ROOT)?;
        let statements = bundle
            .entries
            .iter()
            .map(|entry| entry.envelope.open())
            .collect::<Result<Vec<Statement>, _>>()?;
        let offer = statements.first().ok_or("the receipt has an offer")?.clone();
        let accepted = statements.iter().find_map(|statement| statement.body().as_terms_accepted());
        let accepted = accepted.ok_or("the receipt has an acceptance")?.clone();
        let leaves: Vec<Digest> = (0..LEAVES).map(leaf).collect();
        let tree: HashMap<Node, Digest> =
            tlog::new_nodes_for_append(0, &leaves, &HashMap::new())?.into_iter().collect();
        Ok(Self {
            key: SigningKey::from_bytes(&env.random()),
            nonce: Nonce::new(env.random()),
            offer,
            accepted,
            trust_root,
            // A key event carries the signatures of the platform and of the key itself; one more is of the checkpoint.
            signatures: bundle.entries.len() + 2 * bundle.key_events.len() + 1,
            root: tlog::root(LEAVES, &tree)?,
            tree,
        })
    }

    /// Measures each of them for `span`.
    pub(crate) fn measure(&self, span: Duration) -> Result<Receipts, Failure> {
        let signed = self.acceptance()?.to_json();
        let message = self.offer.payload();
        let signature = self.key.sign(message);
        let bare = self.key.verifying_key();
        let some_leaves: Vec<Digest> = (LEAVES..LEAVES + APPENDED).map(leaf).collect();
        let proof = tlog::inclusion_proof(0, LEAVES, &self.tree)?;
        Ok(Receipts {
            bare_sign: micros(span, |_| {
                std::hint::black_box(self.key.sign(message));
                Ok(())
            })?,
            bare_verify: micros(span, |_| Ok(bare.verify_strict(message, &signature)?))?,
            sign: micros(span, |_| {
                std::hint::black_box(self.acceptance()?.to_json());
                Ok(())
            })?,
            open: micros(span, |_| {
                std::hint::black_box(Envelope::from_json(&signed)?.open()?);
                Ok(())
            })?,
            verify: micros(span, |_| {
                let bundle = Bundle::from_json(BUNDLE)?;
                let time = self.accepted.accepted_time;
                let verified = verify(&bundle, &self.trust_root, &Policy::default(), time)?;
                if verified.is_paid() { Ok(()) } else { Err("the receipt proves a payment".into()) }
            })?,
            signatures: f64::from(u32::try_from(self.signatures)?),
            append: micros(span, |_| self.append(&some_leaves))? / float(APPENDED),
            prove: micros(span, |turn| {
                std::hint::black_box(tlog::inclusion_proof(place(turn), LEAVES, &self.tree)?);
                Ok(())
            })?,
            verify_proof: micros(span, |_| {
                Ok(tlog::verify_inclusion(&leaf(0), 0, LEAVES, &proof, &self.root)?)
            })?,
            proof_bytes: f64::from(u32::try_from(
                proof.iter().map(|hash| hash.as_bytes().len()).sum::<usize>(),
            )?),
        })
    }

    fn acceptance(&self) -> Result<Envelope, Failure> {
        let author = Author::agent(DidKey::of(&self.key), self.nonce);
        let statement = self.offer.successor(author, self.accepted.clone())?;
        Ok(Envelope::sign(&statement, &self.key)?)
    }

    fn append(&self, leaves: &[Digest]) -> Result<(), Failure> {
        let made = tlog::new_nodes_for_append(LEAVES, leaves, &self.tree)?.into_iter().collect();
        let grown = Grown { tree: &self.tree, made };
        std::hint::black_box(tlog::root(LEAVES + APPENDED, &grown)?);
        Ok(())
    }
}

// === impl Grown ===

impl HashReader for Grown<'_> {
    fn node(&self, level: u8, index: u64) -> Option<Digest> {
        self.made.node(level, index).or_else(|| self.tree.node(level, index))
    }
}

fn leaf(number: u64) -> Digest {
    tlog::leaf_hash(&number.to_be_bytes())
}

fn place(turn: u64) -> u64 {
    turn.wrapping_mul(STRIDE) % LEAVES
}

/// What one turn takes, over as many as fit into `span`.
fn micros(span: Duration, mut work: impl FnMut(u64) -> Result<(), Failure>) -> Result<f64, Failure> {
    let begun = Instant::now();
    let mut count = 0_u64;
    while begun.elapsed() < span {
        work(count)?;
        count += 1;
    }
    Ok(1e6 / per_second(count, begun.elapsed()))
}
