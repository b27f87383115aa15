//! Answers that no honest node gives: whatever comes is an error or a doubt, and never a panic.

use poa_common::Msat;
use proptest::prelude::*;
use tonic::{Code, Status};

use super::connection::Refused;
use super::contract::lnrpc::{
    Amount, Chain, ChannelBalanceResponse, GetInfoResponse, HtlcAttempt, Invoice, InvoiceHtlc,
    ListInvoiceResponse, ListPaymentsResponse, Payment, PendingChannelsResponse, WalletBalanceResponse,
};
use super::{mapping, reading};
use crate::{Error, InvoiceState, NewInvoice, Outcome, PaymentHash, Place, Preimage};

/// Numbers at the edges more often than chance would have them.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(-1), Just(i64::MIN), Just(i64::MAX), 0..10_000_i64, any::<i64>()]
}

fn small() -> impl Strategy<Value = i32> {
    prop_oneof![-2..8, any::<i32>()]
}

fn preimage() -> Preimage {
    Preimage::new([7; 32])
}

/// The right hash, one of another length, and anything.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(preimage().hash().as_bytes().to_vec()),
        Just(preimage().as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40)
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![bytes().prop_map(hex::encode), "\\PC{0,70}"]
}

prop_compose! {
    fn htlc()(chan_id: u64, htlc_index: u64, amt_msat: u64, expiry_height in small(), state in small()) -> InvoiceHtlc {
        InvoiceHtlc { chan_id, htlc_index, amt_msat, expiry_height, state }
    }
}

prop_compose! {
    fn invoice()(
        r_hash in bytes(), r_preimage in bytes(), payment_request in text(), state in small(), value_msat in number(),
        amt_paid_msat in number(), creation_date in number(), settle_date in number(), expiry in number(),
        add_index: u64, htlcs in proptest::collection::vec(htlc(), 0..4),
    ) -> Invoice {
        Invoice {
            r_hash, r_preimage, payment_request, state, value_msat, amt_paid_msat, creation_date, settle_date, expiry,
            add_index, htlcs, ..Invoice::default()
        }
    }
}

prop_compose! {
    fn payment()(
        payment_hash in text(), payment_preimage in text(), value_msat in number(), fee_msat in number(),
        status in small(), failure_reason in small(), payment_index: u64,
        htlcs in proptest::collection::vec(small().prop_map(|status| HtlcAttempt { status }), 0..4),
    ) -> Payment {
        Payment { payment_hash, payment_preimage, value_msat, fee_msat, status, failure_reason, payment_index, htlcs }
    }
}

fn given() -> impl Strategy<Value = Option<Amount>> {
    proptest::option::of((any::<u64>(), any::<u64>()).prop_map(|(sat, msat)| Amount { sat, msat }))
}

fn in_range(amount: Msat) -> bool {
    !amount.is_negative() && amount <= Msat::SUPPLY
}

proptest! {
    #[test]
    fn an_invoice_is_read_or_refused(invoice in invoice()) {
        let hash = preimage().hash();
        match mapping::invoice_state(hash, &invoice) {
            Ok(InvoiceState::Accepted { paid, parts, lowest_expiry_height }) => {
                prop_assert!(in_range(paid) && parts > 0 && lowest_expiry_height > 0);
            }
            Ok(InvoiceState::Settled { paid, preimage, .. }) => {
                prop_assert!(in_range(paid) && preimage.is_none_or(|preimage| preimage.hash() == hash));
            }
            Ok(InvoiceState::Open | InvoiceState::Canceled) | Err(_) => {}
        }
    }

    #[test]
    fn a_payment_is_read_or_in_doubt(payment in payment()) {
        let hash = preimage().hash();
        match mapping::outcome(hash, &payment) {
            Outcome::Settled { preimage, fee } => {
                prop_assert!(preimage.hash() == hash && in_range(fee) && payment.status == 2);
            }
            Outcome::Failed(_) => {
                prop_assert!(payment.status == 3 && payment.htlcs.iter().all(|htlc| htlc.status == 2));
            }
            Outcome::InFlight => prop_assert!(payment.status == 1 || payment.status == 4),
            Outcome::Unknown(_) => {}
            Outcome::NotSent(_) => prop_assert!(false, "a payment of the node's was called not sent"),
        }
    }

    #[test]
    fn lists_are_in_order_or_refused(
        after: u64,
        invoices in proptest::collection::vec(invoice(), 0..5),
        payments in proptest::collection::vec(payment(), 0..5),
    ) {
        let after = Place::new(after);
        if let Ok(listed) = reading::invoices(after, &ListInvoiceResponse { invoices, last_index_offset: 0 }) {
            prop_assert!(listed.iter().all(|listed| listed.place > after));
            prop_assert!(listed.is_sorted_by(|one, next| one.place < next.place));
        }
        if let Ok(listed) = reading::payments(after, &ListPaymentsResponse { payments, last_index_offset: 0 }) {
            prop_assert!(listed.iter().all(|listed| listed.place > after && in_range(listed.amount)));
            prop_assert!(listed.is_sorted_by(|one, next| one.place < next.place));
        }
    }

    #[test]
    fn a_balance_is_in_range_or_refused(
        local_balance in given(), unsettled_local_balance in given(), unsettled_remote_balance in given(),
        pending_open_local_balance in given(), total_balance in number(), total_limbo_balance in number(),
    ) {
        let channels = ChannelBalanceResponse {
            local_balance, unsettled_local_balance, unsettled_remote_balance, pending_open_local_balance,
        };
        let (wallet, pending) =
            (WalletBalanceResponse { total_balance }, PendingChannelsResponse { total_limbo_balance });
        if let Ok(balance) = reading::balance(&channels, &wallet, &pending) {
            prop_assert!(in_range(balance.spendable) && in_range(balance.incoming) && in_range(balance.outgoing));
            prop_assert!(!balance.on_chain.is_negative());
        }
    }

    #[test]
    fn a_node_says_who_it_is_or_is_refused(
        identity_pubkey in text(), block_height: u32, chain in "bitcoin|litecoin|\\PC{0,9}",
        network in "mainnet|testnet|testnet4|signet|regtest|simnet|\\PC{0,9}", count in 0_usize..3,
    ) {
        let chains = vec![Chain { chain, network }; count];
        let answer = GetInfoResponse { identity_pubkey, block_height, chains, ..GetInfoResponse::default() };
        if reading::info(&answer).is_ok() {
            prop_assert!(count == 1 && answer.identity_pubkey.len() == 66);
        }
    }

    #[test]
    fn a_made_invoice_is_the_one_that_was_asked_for_or_refused(bolt11 in text(), hash: [u8; 32]) {
        let new = NewInvoice {
            amount: Msat::new(1_000),
            description_hash: [1; 32],
            expiry: std::time::Duration::from_secs(60),
            min_final_cltv: None,
        };
        let made = reading::made(PaymentHash::new(hash), bolt11, &new);
        prop_assert!(matches!(made, Err(Error::NoAnswer(_))));
    }

    #[test]
    fn any_status_is_read(code in 0..20, text in "\\PC{0,400}") {
        let refused = || Refused::Status(Box::new(Status::new(Code::from_i32(code), text.clone())));
        mapping::dispatch(&refused());
        mapping::doubt(&refused());
        prop_assert!(!mapping::error(refused()).to_string().is_empty());
    }
}
