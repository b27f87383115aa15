//! Random histories against a model: whatever is asked in whatever order, sats are neither made nor lost.

use std::collections::BTreeMap;

use poa_common::{
    AccountId, AgentId, DepositId, EscrowId, Msat, TaskId, Timestamp, TransferId, TypedId, WithdrawalId,
};
use poa_payment::Preimage;
use proof_of_agent::{DecisionKind, DidKey, Digest, ReleasePolicy};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Book, Line};
use crate::domain::account::{Account, Owner};
use crate::domain::caps::{Cap, Caps};
use crate::domain::command::{
    Capture, Command, CreditDeposit, Hold, Refund, ReserveWithdrawal, ReturnWithdrawal, SettleWithdrawal,
    TransferWithdrawal,
};
use crate::domain::deposit::{self, Deposit};
use crate::domain::escrow;
use crate::domain::fee::{BasisPoints, split};
use crate::domain::mandate::{Funding, Mandate};
use crate::domain::postings::Kind;
use crate::domain::refusal::Refusal;
use crate::domain::release::Evidence;
use crate::domain::withdrawal::{self, Withdrawal};

const TIME: Timestamp = Timestamp::UNIX_EPOCH;
/// Few of each, so that histories meet.
const USERS: u128 = 3;
const SUBJECTS: u128 = 5;
/// What each deposit's invoice asks for.
const DEPOSIT: i64 = 700;

/// So much that histories come to it.
fn caps() -> Caps {
    let cap = |hour, day| Cap { hour: Msat::new(hour), day: Msat::new(day) };
    Caps { account: cap(4_000, 6_000), all: cap(8_000, 9_000) }
}

#[derive(Clone, Debug)]
enum Step {
    Credit {
        which: u128,
        paid: i64,
    },
    Hold {
        which: u128,
        payer: u128,
        amount: i64,
    },
    Capture {
        which: u128,
        payee: u128,
    },
    Refund {
        which: u128,
    },
    Reserve {
        which: u128,
        user: u128,
        amount: i64,
        limit: i64,
    },
    /// A withdrawal that pays the deposit of the same number within the ledger.
    Inside {
        which: u128,
        user: u128,
        limit: i64,
    },
    Transfer {
        which: u128,
    },
    Pause {
        paused: bool,
    },
    Dispatch {
        which: u128,
    },
    Settle {
        which: u128,
        fee: i64,
    },
    Return {
        which: u128,
        dispatches: i32,
    },
}

fn id<T: TypedId>(number: u128) -> T {
    T::from_uuid(Uuid::from_u128(number))
}

fn user(number: u128) -> AccountId {
    id(1_000 + number % USERS)
}

fn digest(escrow: u128, payer: u128, amount: i64) -> Digest {
    Digest::of(format!("{escrow} {payer} {amount}").as_bytes())
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..SUBJECTS;
    let user = 0..USERS;
    prop_oneof![
        3 => (which.clone(), 0..5_000i64).prop_map(|(which, paid)| Step::Credit { which, paid }),
        4 => (which.clone(), user.clone(), 0..3_000i64)
            .prop_map(|(which, payer, amount)| Step::Hold { which, payer, amount }),
        3 => (which.clone(), user.clone()).prop_map(|(which, payee)| Step::Capture { which, payee }),
        2 => which.clone().prop_map(|which| Step::Refund { which }),
        3 => (which.clone(), user, 0..3_000i64, 0..100i64)
            .prop_map(|(which, user, amount, limit)| Step::Reserve { which, user, amount, limit }),
        2 => (which.clone(), 0..USERS, 0..100i64)
            .prop_map(|(which, user, limit)| Step::Inside { which, user, limit }),
        2 => which.clone().prop_map(|which| Step::Transfer { which }),
        1 => prop::bool::weighted(0.2).prop_map(|paused| Step::Pause { paused }),
        3 => which.clone().prop_map(|which| Step::Dispatch { which }),
        2 => (which.clone(), 0..120i64).prop_map(|(which, fee)| Step::Settle { which, fee }),
        2 => (which, 0..2).prop_map(|(which, dispatches)| Step::Return { which, dispatches }),
    ]
}

/// A book in which every account, and an open deposit for each number, is loaded.
fn book() -> Book {
    let mut book = Book::default();
    for owner in [Owner::Lightning, Owner::Fees, Owner::Clearing] {
        book.accounts.load(owner.uuid(), Account::default());
    }
    for number in 0..USERS {
        book.accounts.load(user(number).uuid(), Account::default());
    }
    for number in 0..SUBJECTS {
        let deposit = Deposit {
            id: id(number),
            account: user(number),
            state: deposit::State::Open,
            amount: Msat::new(DEPOSIT),
            credited: Msat::ZERO,
            invoice: String::new(),
            hash: preimage(number).hash(),
            create_time: TIME,
            expire_time: TIME,
            settle_time: None,
            paid_by: None,
        };
        book.deposits.load(deposit.id, deposit);
    }
    book
}

fn preimage(number: u128) -> Preimage {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&number.to_be_bytes());
    Preimage::new(bytes)
}

fn hold(which: u128, payer: u128, amount: i64, transfer: TransferId) -> Hold {
    let fee = BasisPoints::DEFAULT;
    Hold {
        escrow: id::<EscrowId>(which),
        task: id::<TaskId>(which),
        payer: user(payer),
        amount: Msat::new(amount),
        fee,
        split: split(Msat::new(amount), fee).unwrap(),
        mandate: Mandate {
            terms: Vec::new(),
            digest: digest(which, payer, amount),
            policy: ReleasePolicy::OnAcceptance,
            direct_agent: None,
            funding: Funding::Balance,
        },
        transfer,
        time: TIME,
    }
}

fn evidence(terms: Digest) -> Evidence {
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    Evidence {
        agent: id::<AgentId>(1),
        agent_key: DidKey::of(&key),
        terms,
        output: Digest::of(b"result"),
        decision: Digest::of(b"decision"),
        decision_kind: DecisionKind::Accepted,
    }
}

/// The command of a step; none where the step is not the ledger's, or where the caller would have stopped before.
fn command(book: &mut Book, step: &Step, transfer: &mut impl FnMut() -> TransferId) -> Option<Command> {
    Some(match *step {
        Step::Credit { which, paid } => Command::CreditDeposit(CreditDeposit {
            deposit: id::<DepositId>(which),
            paid: Msat::new(paid),
            transfer: transfer(),
            time: TIME,
        }),
        Step::Hold { which, payer, amount } => {
            Command::Hold(Box::new(hold(which, payer, amount, transfer())))
        }
        Step::Capture { which, payee } => {
            let terms = book.escrows.get(&id(which)).and_then(|escrow| escrow.terms);
            Command::Capture(Box::new(Capture {
                escrow: id(which),
                payee: user(payee),
                evidence: evidence(terms.unwrap_or(Digest::of(b""))),
                transfer: transfer(),
                fee_transfer: transfer(),
                event: id(0),
                time: TIME,
            }))
        }
        Step::Refund { which } => Command::Refund(Refund {
            escrow: id(which),
            task: id(which),
            transfer: transfer(),
            event: id(0),
            time: TIME,
        }),
        Step::Reserve { which, user: owner, amount, limit } => {
            Command::ReserveWithdrawal(Box::new(ReserveWithdrawal {
                withdrawal: reserved(which, owner, amount, limit),
                max_live: 2,
                caps: caps(),
                destination: None,
                transfer: transfer(),
            }))
        }
        Step::Inside { which, user: owner, limit } => {
            // Another number than those that go out, and the hash of the deposit's.
            let row = Withdrawal {
                id: id::<WithdrawalId>(which + 100),
                request: (Uuid::from_u128(which + 100), [9; 32]),
                deposit: Some(id(which)),
                ..reserved(which, owner, DEPOSIT, limit)
            };
            let known = book.withdrawals.get(&row.id);
            let row = known.map_or(row.clone(), |known| Withdrawal { account: known.account, ..row });
            Command::ReserveWithdrawal(Box::new(ReserveWithdrawal {
                withdrawal: row,
                max_live: 2,
                caps: caps(),
                destination: None,
                transfer: transfer(),
            }))
        }
        Step::Transfer { which } => {
            let row = book.withdrawals.get(&id(which + 100)).cloned()?;
            if row.state == withdrawal::State::Reserved {
                let dispatched = Withdrawal { state: withdrawal::State::Dispatched, dispatches: 1, ..row };
                book.withdrawals.put(dispatched.id, dispatched);
            }
            Command::TransferWithdrawal(TransferWithdrawal {
                withdrawal: id(which + 100),
                deposit: id(which),
                transfer: transfer(),
                return_transfer: transfer(),
                time: TIME,
            })
        }
        Step::Pause { paused } => {
            book.paused = paused;
            return None;
        }
        Step::Dispatch { which } => {
            let known = book.withdrawals.get(&id(which)).cloned()?;
            if known.state == withdrawal::State::Reserved {
                book.withdrawals.put(
                    known.id,
                    Withdrawal { state: withdrawal::State::Dispatched, dispatches: 1, ..known },
                );
            }
            return None;
        }
        Step::Settle { which, fee } => Command::SettleWithdrawal(SettleWithdrawal {
            withdrawal: id(which),
            preimage: preimage(which),
            fee: Msat::new(fee),
            transfer: transfer(),
            return_transfer: transfer(),
            time: TIME,
        }),
        Step::Return { which, dispatches } => Command::ReturnWithdrawal(ReturnWithdrawal {
            withdrawal: id(which),
            dispatches,
            failure: "no_route",
            transfer: transfer(),
            time: TIME,
        }),
    })
}

fn reserved(which: u128, owner: u128, amount: i64, limit: i64) -> Withdrawal {
    Withdrawal {
        id: id::<WithdrawalId>(which),
        account: user(owner),
        request: (Uuid::from_u128(which), digest(which, owner, amount).as_bytes().to_owned()),
        origin: withdrawal::Origin::default(),
        state: withdrawal::State::Reserved,
        amount: Msat::new(amount),
        fee_limit: Msat::new(limit),
        fee: Msat::ZERO,
        invoice: String::new(),
        hash: preimage(which).hash(),
        invoice_expire_time: TIME,
        payee: None,
        deposit: None,
        node: None,
        deadline: None,
        dispatches: 0,
        failures_seen: 0,
        node_knew: false,
        preimage: None,
        failure: None,
        create_time: TIME,
        end_time: None,
    }
}

/// Everything that must hold after each command.
fn check(book: &Book) {
    let mut total = 0;
    let mut sums: BTreeMap<Uuid, (i64, i64, i64)> = BTreeMap::new();
    for Line { account, sequence, available, held, .. } in &book.lines {
        let sum = sums.entry(*account).or_default();
        *sum = (sum.0 + available.get(), sum.1 + held.get(), sum.2 + 1);
        assert_eq!(*sequence, sum.2, "sequences are dense");
        total += available.get() + held.get();
    }
    assert_eq!(total, 0);
    for owner in [Owner::Lightning, Owner::Fees, Owner::Clearing]
        .into_iter()
        .chain((0..USERS).map(|n| Owner::User(user(n))))
    {
        let account = book.account(owner);
        let sum = sums.get(&owner.uuid()).copied().unwrap_or_default();
        assert_eq!((account.available.get(), account.held.get(), account.entries), sum, "{owner:?}");
        assert!(!matches!(owner, Owner::User(_)) || account.is_sound(), "{owner:?}");
    }
    assert_eq!(book.account(Owner::Clearing).available, Msat::ZERO);
    for number in 0..USERS {
        let open: i64 = book
            .escrows
            .values()
            .filter(|escrow| escrow.state == escrow::State::Held && escrow.payer == Some(user(number)))
            .map(|escrow| escrow.amount.get())
            .sum();
        let reserved: i64 = book
            .withdrawals
            .values()
            .filter(|row| row.account == user(number))
            .filter(|row| matches!(row.state, withdrawal::State::Reserved | withdrawal::State::Dispatched))
            .map(|row| row.reserve().unwrap().get())
            .sum();
        assert_eq!(book.account(Owner::User(user(number))).held.get(), open + reserved);
    }
    for (account, live) in &book.live_withdrawals {
        let counted = book
            .withdrawals
            .values()
            .filter(|row| row.account == *account)
            .filter(|row| matches!(row.state, withdrawal::State::Reserved | withdrawal::State::Dispatched))
            .count();
        assert_eq!(u32::try_from(counted), Ok(*live));
        assert!(*live <= 2, "no account has more on their way than it may");
    }
    let deposited: i64 = book
        .deposits
        .values()
        .filter(|deposit| deposit.paid_by.is_none())
        .map(|deposit| deposit.credited.get())
        .sum();
    for deposit in book.deposits.values() {
        // Paid by the ledger or from outside, and once.
        let moved = book.transfers.iter().filter(|transfer| match transfer.kind {
            Kind::Deposit => transfer.subject == deposit.id.uuid(),
            Kind::Transfer => Some(transfer.subject) == deposit.paid_by.map(|id| id.uuid()),
            _ => false,
        });
        assert_eq!(moved.count(), usize::from(deposit.state == deposit::State::Settled));
    }
    let own: i64 = book.recent.values().map(|volume| volume.hour.get()).sum();
    let all = book.recent_of_all.hour.get();
    // What goes to another account counts for its payer alone.
    assert!(all <= own && all <= 8_000 && book.recent.values().all(|volume| volume.hour.get() <= 4_000));
    let sent: i64 = book
        .withdrawals
        .values()
        .filter(|row| row.state == withdrawal::State::Succeeded && row.deposit.is_none())
        .map(|row| row.amount.get() + row.fee.get())
        .sum();
    assert_eq!(book.account(Owner::Lightning).available.get(), sent - deposited);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_history_makes_or_loses_a_millisatoshi(steps in prop::collection::vec(step(), 1..80)) {
        let mut book = book();
        let mut number = 10_000u128;
        let mut transfer = || {
            number += 1;
            id::<TransferId>(number)
        };
        for step in &steps {
            let Some(command) = command(&mut book, step, &mut transfer) else { continue };
            let before = (book.lines.clone(), book.transfers.clone());
            match book.decide(&command) {
                Ok(_) => {
                    // The same again is answered and moves nothing.
                    let after = book.lines.clone();
                    let repeated = book.decide(&command);
                    prop_assert!(repeated.is_ok(), "{command:?}: {repeated:?}");
                    prop_assert_eq!(&after, &book.lines);
                }
                Err(_) => prop_assert_eq!(before, (book.lines.clone(), book.transfers.clone())),
            }
            check(&book);
        }
    }
}

#[test]
fn a_hold_of_another_payload_under_a_known_id_is_refused() {
    let mut book = book();
    let credit = CreditDeposit { deposit: id(0), paid: Msat::new(5_000), transfer: id(1), time: TIME };
    book.decide(&Command::CreditDeposit(credit)).unwrap();
    book.decide(&Command::Hold(Box::new(hold(1, 0, 1_000, id(2))))).unwrap();
    let other = Command::Hold(Box::new(hold(1, 0, 1_001, id(3))));
    assert_eq!(book.decide(&other).unwrap_err(), Refusal::RequestIdReused);
}

#[test]
fn an_account_of_the_platform_can_neither_pay_nor_be_paid() {
    let mut book = book();
    let mut order = hold(1, 0, 1_000, id(2));
    order.payer = AccountId::from_uuid(Owner::Fees.uuid());
    let refused = book.decide(&Command::Hold(Box::new(order))).unwrap_err();
    assert_eq!(refused, Refusal::NotAnAccount);
}

#[test]
fn a_return_that_was_decided_before_another_dispatch_gives_nothing_back() {
    let mut book = book();
    let credit = CreditDeposit { deposit: id(0), paid: Msat::new(5_000), transfer: id(1), time: TIME };
    book.decide(&Command::CreditDeposit(credit)).unwrap();
    let reserve = ReserveWithdrawal {
        withdrawal: reserved(1, 0, 1_000, 10),
        max_live: 1,
        caps: caps(),
        destination: None,
        transfer: id(2),
    };
    book.decide(&Command::ReserveWithdrawal(Box::new(reserve))).unwrap();
    let row = book.withdrawals.get(&id(1)).cloned().unwrap();
    book.withdrawals.put(row.id, Withdrawal { state: withdrawal::State::Dispatched, dispatches: 2, ..row });
    let back = |dispatches| {
        let (withdrawal, transfer) = (id(1), id(3));
        Command::ReturnWithdrawal(ReturnWithdrawal {
            withdrawal,
            dispatches,
            failure: "full",
            transfer,
            time: TIME,
        })
    };
    for earlier in [0, 1] {
        let refused = book.decide(&back(earlier)).unwrap_err();
        assert_eq!(refused, Refusal::WrongState { subject: "the withdrawal", state: "dispatched" });
    }
    assert_eq!(book.account(Owner::User(user(0))).held, Msat::new(1_010));
    book.decide(&back(2)).unwrap();
    assert_eq!(book.account(Owner::User(user(0))).held, Msat::ZERO);
}
