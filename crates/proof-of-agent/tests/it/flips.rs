//! Every bit of a whole bundle, flipped one at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use proof_of_agent::trust::Witnesses;
use proof_of_agent::{
    AgentVersion, Bundle, DecisionKind, Digest, KeyEvent, NoticeStatement, Policy, ReleasePolicy,
    SettlementKind, TermsOffered, TrustLevel, TrustRoot, Verified, WorkReceived, WorkSubmitted, verify,
};

use crate::fixture::{INPUT, NOW, RESULT, World, settlement, submitted, terms};
use crate::plan::{BUILD, Plan, Story, trusted, version, version_stated, witness_key};

/// A small receipt with everything that a bundle can carry, but evidence: paid, logged with a record, a key event and a version of
/// the agent, a checkpoint that a witness has seen, input and result inline.
fn small_and_whole() -> Bundle {
    let world = World::new();
    let terms = TermsOffered {
        title: "x".to_owned(),
        capability: None,
        criteria: vec![],
        ..terms(ReleasePolicy::OnAcceptance)
    };
    let offer = world.offer_of(world.by_requester(), terms);
    let acceptance = world.accept(&offer, 1);
    let work =
        WorkSubmitted { build_digest: Some(Digest::of(BUILD)), source_ref: None, ..submitted(&acceptance) };
    let story = Story::new(&world, vec![offer, acceptance]).then(world.by_agent(), work);
    let received = WorkReceived { submission_log_index: 4, ..world.received() };
    let story = story.then(world.by_platform(), received);
    let story = story.decided(DecisionKind::DeadlinePassed).settled(settlement(SettlementKind::Released));
    let mut plan = Plan::of(&world, &story.statements);
    for (placed, place) in plan.statements.iter_mut().zip(2..) {
        placed.log_index = place;
    }
    plan.version = Some((version_stated(&version(), 2), 1));
    (plan.size, plan.seen_by) = (8, vec![0]);
    let mut bundle = plan.bundle();
    (bundle.input, bundle.result) = (Some(INPUT.to_vec()), Some(RESULT.to_vec()));
    bundle
}

fn trust_root() -> TrustRoot {
    let witnesses = Witnesses { quorum: 1, keys: vec![witness_key(0)] };
    TrustRoot::of(proof_of_agent::trust::Trusted { witnesses, ..trusted() }).unwrap()
}

/// What became of the flips.
#[derive(Default)]
struct Tally {
    flipped: AtomicUsize,
    refused: AtomicUsize,
}

struct Flips {
    bytes: Vec<u8>,
    bundle: Bundle,
    root: TrustRoot,
    genuine: Verified,
    tally: Tally,
}

impl Flips {
    /// Flips all bits of one byte.
    fn byte(&self, place: usize) {
        let mut changed = self.bytes.clone();
        for bit in 0..8 {
            changed[place] ^= 1 << bit;
            self.tally.flipped.fetch_add(1, Ordering::Relaxed);
            self.judge(&changed, place, bit);
            changed[place] ^= 1 << bit;
        }
    }

    fn judge(&self, changed: &[u8], place: usize, bit: usize) {
        match Bundle::from_json(changed) {
            // The same bundle is judged in the same way: verify() is pure.
            Ok(bundle) if bundle == self.bundle => return,
            // Most flips are in an envelope. One that does not open is refused, whatever else is in the bundle: opening it alone
            // leaves out the signatures before it. That verify() says so too, each bit of every 61st byte shows.
            Ok(bundle) if !place.is_multiple_of(61) && self.has_a_closed_envelope(&bundle) => {}
            Ok(bundle) => {
                if let Ok(verified) = verify(&bundle, &self.root, &Policy::default(), NOW) {
                    assert_eq!(verified, self.genuine, "bit {bit} of byte {place}");
                    return;
                }
            }
            Err(_) => {}
        }
        self.tally.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether an envelope that was changed does not open.
    fn has_a_closed_envelope(&self, changed: &Bundle) -> bool {
        let entries = changed.entries.iter().zip(&self.bundle.entries);
        let mut entries = entries.filter(|(it, genuine)| it.envelope != genuine.envelope);
        let events = changed.key_events.iter().zip(&self.bundle.key_events);
        let mut events = events.filter(|(it, genuine)| it.envelope != genuine.envelope);
        let versions = changed.agent_version.iter().zip(&self.bundle.agent_version);
        let mut versions = versions.filter(|(it, genuine)| it.envelope != genuine.envelope);
        entries.any(|(it, _)| it.envelope.open().is_err())
            || events.any(|(it, _)| NoticeStatement::<KeyEvent>::open(&it.envelope).is_err())
            || versions.any(|(it, _)| NoticeStatement::<AgentVersion>::open(&it.envelope).is_err())
    }
}

#[test]
fn every_flipped_bit_is_refused_or_changes_nothing() {
    let (bundle, root) = (small_and_whole(), trust_root());
    let genuine = verify(&bundle, &root, &Policy::default(), NOW).unwrap();
    assert!(genuine.is_paid() && genuine.level == TrustLevel::Published && genuine.witnesses == 1);
    let bytes = bundle.to_json().unwrap();
    let flips = Flips { bytes, bundle, root, genuine, tally: Tally::default() };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // One byte after another to whoever is free: a flip in the last statement costs most.
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= flips.bytes.len() {
                        break;
                    }
                    flips.byte(place);
                }
            });
        }
    });
    let (flipped, refused) = (flips.tally.flipped.into_inner(), flips.tally.refused.into_inner());
    println!("{flipped} bits flipped: {refused} refused, {} say the same", flipped - refused);
    assert_eq!(flipped, 8 * flips.bytes.len());
    // Anything else would mean that the flips did not reach what is signed.
    assert!(refused * 1_000 >= flipped * 999, "{refused} of {flipped} refused");
}
