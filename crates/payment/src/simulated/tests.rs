//! The journal against the state that it stands for: whatever happens, a replay says the same.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use poa_common::Msat;
use proptest::prelude::*;

use super::core::Core;
use super::faults::PayEffect;
use super::journal::Journal;
use super::outside::{Attempt, OutsideInvoice, Resolution};
use super::record::Record;
use super::state::State;
use super::test_env::{TestClock, env};
use super::{Options, test_env};
use crate::{
    Error, FailureReason, Finality, Invoice, NewHoldInvoice, NewInvoice, Outcome, PayIntent, PaymentHash,
    Place, Preimage, Refusal,
};

/// A step of a node's life. The numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Create,
    AddHold,
    Receive(usize),
    Cancel(usize),
    Settle(usize),
    AskFinality(usize, bool),
    Pay(PayEffect),
    PayAgain(usize),
    Resolve(usize, bool),
    Mine(u32),
    Wait(i64),
    Compact,
}

struct Life {
    core: Core,
    clock: TestClock,
    invoices: Vec<Invoice>,
    preimages: Vec<Preimage>,
    intents: Vec<PayIntent>,
}

fn step() -> impl Strategy<Value = Step> {
    let effect = prop_oneof![
        Just(PayEffect::Usual),
        Just(PayEffect::StaysInFlight),
        Just(PayEffect::Fails(FailureReason::Timeout))
    ];
    prop_oneof![
        3 => Just(Step::Create),
        3 => Just(Step::AddHold),
        6 => any::<usize>().prop_map(Step::Receive),
        2 => any::<usize>().prop_map(Step::Cancel),
        4 => any::<usize>().prop_map(Step::Settle),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, lose)| Step::AskFinality(which, lose)),
        4 => effect.prop_map(Step::Pay),
        1 => any::<usize>().prop_map(Step::PayAgain),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, settles)| Step::Resolve(which, settles)),
        1 => (0..200u32).prop_map(Step::Mine),
        1 => (-100..700i64).prop_map(Step::Wait),
        1 => Just(Step::Compact),
    ]
}

fn pick<T>(items: &[T], which: usize) -> Option<&T> {
    (!items.is_empty()).then(|| &items[which % items.len()])
}

fn request() -> NewInvoice {
    NewInvoice {
        amount: Msat::new(1_234_567),
        description_hash: [9; 32],
        expiry: Duration::from_secs(600),
        min_final_cltv: None,
    }
}

impl Life {
    fn begin(path: &Path, seed: u64) -> Self {
        let (env, clock) = env(seed);
        let core = Core::open(&Options::new(path), env).unwrap();
        Self { core, clock, invoices: Vec::new(), preimages: Vec::new(), intents: Vec::new() }
    }

    fn intent(&self, invoice: &Invoice) -> PayIntent {
        PayIntent {
            hash: invoice.hash,
            bolt11: invoice.bolt11.clone(),
            amount: invoice.amount,
            fee_limit: Msat::new(100_000),
            deadline: self.core.now() + Duration::from_secs(60),
        }
    }

    /// Takes a step; a refusal is as good as anything, so long as the file and the state agree.
    fn take(&mut self, step: &Step) {
        match step {
            Step::Create => self.invoices.push(self.core.create(&request()).unwrap()),
            Step::AddHold => {
                let preimage = Preimage::new(self.core.env.random());
                let order = NewHoldInvoice { hash: preimage.hash(), invoice: request() };
                self.invoices.push(self.core.add_hold(&order).unwrap());
                self.preimages.push(preimage);
            }
            Step::Receive(which) => {
                if let Some(invoice) = pick(&self.invoices, *which) {
                    let _ = self.core.receive(&invoice.bolt11, Attempt::default());
                }
            }
            Step::Cancel(which) => {
                if let Some(invoice) = pick(&self.invoices, *which) {
                    let _ = self.core.cancel(invoice.hash, which % 2 == 0);
                }
            }
            Step::Settle(which) => {
                if let Some(preimage) = pick(&self.preimages, *which) {
                    let _ = self.core.settle(preimage.clone());
                }
            }
            Step::AskFinality(which, lose) => {
                if let Some(preimage) = pick(&self.preimages, *which) {
                    let said = self.core.finality(preimage.hash(), *lose).unwrap();
                    // What was said for good stays so, whatever happens next.
                    let again = self.core.finality(preimage.hash(), !*lose).unwrap();
                    assert!(said == again || said == Finality::Pending, "{said:?}, then {again:?}");
                }
            }
            Step::Pay(effect) => {
                let wanted = OutsideInvoice::of(Msat::new(7_654_321));
                let invoice = self.core.outside_invoice(&wanted).unwrap();
                let intent = self.intent(&invoice);
                self.core.pay(&intent, *effect);
                self.intents.push(intent);
            }
            Step::PayAgain(which) => {
                if let Some(intent) = pick(&self.intents, *which) {
                    let known = self.core.payment(intent.hash);
                    assert_eq!(self.core.pay(intent, PayEffect::Usual), known);
                }
            }
            Step::Resolve(which, settles) => {
                if let Some(intent) = pick(&self.intents, *which) {
                    let end =
                        if *settles { Resolution::Settles } else { Resolution::Fails(FailureReason::Error) };
                    let _ = self.core.resolve(intent.hash, end);
                }
            }
            Step::Mine(blocks) => drop(self.core.mine(*blocks).unwrap()),
            Step::Wait(seconds) => self.clock.advance(*seconds),
            Step::Compact => self.core.compact().unwrap(),
        }
        self.core.check().unwrap();
    }
}

/// What the node has or expects back, without what payers have only locked.
fn owned(state: &State) -> Msat {
    state.wealth().unwrap().checked_sub(state.incoming).unwrap()
}

/// The state that a start finds in the file.
fn reopened(path: &Path) -> State {
    Core::open(&Options::new(path), env(u64::MAX).0).unwrap().state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_of_the_journal_gives_the_same_state(steps in prop::collection::vec(step(), 1..60), seed: u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.journal");
        let mut life = Life::begin(&path, seed);
        for step in &steps {
            let before = owned(&life.core.state);
            life.take(step);
            // Sats come in by receiving and go out by paying, and in no other way.
            match step {
                Step::Receive(_) | Step::Settle(_) => prop_assert!(owned(&life.core.state) >= before),
                Step::Pay(_) | Step::Resolve(..) | Step::AskFinality(..) => prop_assert!(owned(&life.core.state) <= before),
                _ => prop_assert_eq!(owned(&life.core.state), before),
            }
        }
        prop_assert_eq!(reopened(&path), life.core.state);
    }

    #[test]
    fn a_journal_torn_anywhere_in_its_last_line_gives_the_state_before_it(
        steps in prop::collection::vec(step(), 1..20),
        tear: prop::sample::Index,
        garbage in prop_oneof![Just(vec![]), Just(vec![0; 64]), Just(vec![0xff; 7])],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.journal");
        let mut life = Life::begin(&path, 1);
        for step in &steps {
            life.take(step);
        }
        let state = life.core.state.clone();
        life.core.create(&request()).unwrap();
        drop(life);

        let mut bytes = fs::read(&path).unwrap();
        let start = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        bytes.truncate(start + tear.index(bytes.len() - start));
        bytes.extend(garbage);
        fs::write(&path, &bytes).unwrap();
        prop_assert_eq!(reopened(&path), state.clone());
        // The torn bytes are gone: the next start has nothing to mend.
        prop_assert_eq!(u64::try_from(start).unwrap(), fs::metadata(&path).unwrap().len());
        prop_assert_eq!(reopened(&path), state);
    }
}

#[test]
fn compaction_forgets_old_cancelled_invoices_and_nothing_that_moved_sats() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.journal");
    let mut life = Life::begin(&path, 2);
    for _ in 0..3 {
        life.take(&Step::Create);
    }
    life.take(&Step::Pay(PayEffect::Usual));
    life.take(&Step::Receive(0));
    life.take(&Step::Cancel(1));
    life.clock.advance(8 * 86_400);
    life.core.compact().unwrap();
    let known: Vec<_> =
        life.invoices.iter().map(|invoice| life.core.invoice(invoice.hash).unwrap().is_some()).collect();
    assert_eq!(known, [true, false, true]);
    assert_eq!(life.core.payment(life.intents[0].hash).as_str(), "settled");
    assert_eq!(reopened(&path), life.core.state);
}

/// A file as it was before rows had numbers: one snapshot, without the fields that came later.
fn write_old_file(path: &Path, state: &State) {
    let mut state = serde_json::to_value(state).unwrap();
    let object = state.as_object_mut().unwrap();
    object.remove("invoice_order").unwrap();
    object.remove("payment_order").unwrap();
    for row in object["invoices"].as_object_mut().unwrap().values_mut() {
        row.as_object_mut().unwrap().retain(|field, _| field != "number" && field != "htlcs");
    }
    for row in object["payments"].as_object_mut().unwrap().values_mut() {
        row.as_object_mut().unwrap().retain(|field, _| field != "number" && field != "reserved");
    }
    fs::remove_file(path).unwrap();
    let snapshot = serde_json::json!([{ "snapshot": state }]);
    Journal::create(path, &serde_json::to_vec(&snapshot).unwrap()).unwrap();
}

#[test]
fn rows_of_an_old_file_get_numbers_that_each_start_gives_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.journal");
    let mut life = Life::begin(&path, 6);
    for _ in 0..5 {
        life.take(&Step::Create);
        life.take(&Step::Pay(PayEffect::Usual));
        life.clock.advance(1);
    }
    let (state, made) = (life.core.state.clone(), life.invoices.clone());
    drop(life);
    write_old_file(&path, &state);

    let mut life = Life::begin(&path, 7);
    let listed = life.core.list_invoices(Place::START, 10).unwrap();
    let hashes: Vec<_> = listed.iter().map(|row| row.hash).collect();
    assert_eq!(hashes, made.iter().map(|invoice| invoice.hash).collect::<Vec<_>>());
    let payments = life.core.list_payments(Place::START, 10);
    assert_eq!(payments.len(), 5);
    // What is made from now on comes after them.
    life.take(&Step::Create);
    life.take(&Step::Pay(PayEffect::Usual));
    assert_eq!(life.core.list_invoices(listed[4].place, 10).unwrap()[0].hash, life.invoices[0].hash);
    assert_eq!(life.core.list_payments(payments[4].place, 10)[0].hash, life.intents[0].hash);
    assert_eq!(reopened(&path), life.core.state);
    life.core.compact().unwrap();
    assert_eq!(reopened(&path), life.core.state);
}

#[test]
fn a_forgotten_invoice_leaves_its_place_empty_and_an_expired_one_is_listed_as_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.journal");
    let mut life = Life::begin(&path, 8);
    for _ in 0..3 {
        life.take(&Step::Create);
    }
    life.take(&Step::Receive(0));
    life.take(&Step::Cancel(2));
    life.clock.advance(8 * 86_400);
    let states = |core: &mut Core| -> Vec<_> {
        let listed = core.list_invoices(Place::START, 10).unwrap().into_iter();
        listed.map(|row| (row.place.get(), row.state.as_str())).collect()
    };
    assert_eq!(states(&mut life.core), [(1, "settled"), (2, "canceled"), (3, "canceled")]);
    life.core.compact().unwrap();
    assert_eq!(states(&mut life.core), [(1, "settled")]);
    life.take(&Step::Create);
    assert_eq!(states(&mut life.core), [(1, "settled"), (4, "open")]);
    assert_eq!(reopened(&path), life.core.state);
}

#[test]
fn a_payment_that_the_node_cannot_afford_is_listed_with_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut life = Life::begin(&folder.path().join("node.journal"), 9);
    let wanted = OutsideInvoice::of(life.core.state.spendable);
    let invoice = life.core.outside_invoice(&wanted).unwrap();
    life.core.pay(&life.intent(&invoice), PayEffect::Usual);
    let listed = &life.core.list_payments(Place::START, 10)[0];
    let reason = FailureReason::InsufficientBalance;
    assert_eq!((listed.amount, &listed.outcome), (wanted.amount, &Outcome::Failed(reason)));
    assert_eq!(life.core.state.spendable, wanted.amount);
}

#[test]
fn an_illegal_change_stops_the_node_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.journal");
    let mut life = Life::begin(&path, 3);
    life.take(&Step::Create);
    let state = life.core.state.clone();
    let unknown = Record::Canceled { hash: PaymentHash::new([6; 32]) };
    let error = life.core.commit(vec![Record::Height { height: u32::MAX }, unknown]).unwrap_err();
    assert!(matches!(error, Error::NoAnswer(_)), "{error:?}");
    // Memory may be ahead of the file, so that nothing more is said until it is read again.
    assert!(matches!(life.core.create(&request()), Err(Error::NoAnswer(_))));
    assert!(life.core.check().is_err());
    assert_eq!(reopened(&path), state);
}

#[test]
fn a_simulated_invoice_without_an_amount_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut life = Life::begin(&folder.path().join("node.journal"), 4);
    let (env, _) = test_env::env(5);
    let (curve, key) = (Secp256k1::new(), SecretKey::from_slice(&env.random::<32>()).unwrap());
    let hash = PaymentHash::new([8; 32]);
    let now = u64::try_from(life.core.now().unix_timestamp()).unwrap();
    let invoice = InvoiceBuilder::new(Currency::Simnet)
        .description("choose yourself".to_owned())
        .payment_hash(sha256::Hash::from_byte_array(*hash.as_bytes()))
        .payment_secret(PaymentSecret([1; 32]))
        .duration_since_epoch(Duration::from_secs(now))
        .min_final_cltv_expiry_delta(80)
        .build_signed(|message| curve.sign_ecdsa_recoverable(message, &key))
        .unwrap();
    let amount = Msat::new(1_000);
    let expires_at = life.core.now() + Duration::from_secs(60);
    let intent = life.intent(&Invoice { hash, bolt11: invoice.to_string(), amount, expires_at });
    assert_eq!(life.core.pay(&intent, PayEffect::Usual), Outcome::NotSent(Refusal::Amountless));
}
