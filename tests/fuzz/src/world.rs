//! A paid task with all that belongs to it, the same in every run; and small hands to alter it with.

#[path = "../../../crates/proof-of-agent/tests/it/fixture.rs"]
#[expect(dead_code, reason = "the fixture of the protocol's own tests, of which this uses a part")]
mod fixture;

use std::sync::LazyLock;

use proof_of_agent::{Bundle, Envelope, Policy, Statement, TrustRoot, Verified, verify};

pub(crate) use fixture::{NOW, ORIGIN, World, grow};

/// The proof of one balance, and whom it is to be believed by: a vector of the protocol.
pub(crate) const BALANCE_PROOF: &[u8] = include_bytes!("../../vectors/liabilities/middle-of-seven.json");
pub(crate) const BALANCE_TRUST_ROOT: &[u8] = include_bytes!("../../vectors/liabilities/trust-root.json");

/// What the targets start from.
pub(crate) struct Paid {
    pub(crate) statements: Vec<Statement>,
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) bundle: Bundle,
    pub(crate) bundle_json: Vec<u8>,
    pub(crate) trust_root: TrustRoot,
    pub(crate) verified: Verified,
}

/// Made once a process: signing takes longer than a target may.
pub(crate) static PAID: LazyLock<Paid> = LazyLock::new(|| {
    let world = World::new();
    let statements = world.paid();
    let envelopes = world.sign_all(&statements);
    let bundle = world.bundle(&statements);
    let trust_root = world.trust_root();
    let verified = verify(&bundle, &trust_root, &Policy::default(), NOW).expect("the fixture verifies");
    let bundle_json = bundle.to_json().expect("a bundle");
    Paid { statements, envelopes, bundle, bundle_json, trust_root, verified }
});

/// Alters bytes as the input says: four bytes of it are one change, of a place and what is done there.
pub(crate) fn altered(original: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for change in changes.chunks_exact(4) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        let Some(place) = place.checked_rem(bytes.len()) else { break };
        match change[2] % 4 {
            0 => bytes[place] ^= change[3],
            1 => bytes[place] = change[3],
            2 => bytes.insert(place, change[3]),
            _ => drop(bytes.remove(place)),
        }
    }
    bytes
}
