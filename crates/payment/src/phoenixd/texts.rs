//! Every text of phoenixd's that is given a meaning, and the meaning. Source: phoenixd 0.8.0 (`Api.kt`) and lightning-kmp
//! 1.12.0 (`OutgoingPaymentFailure.kt`, `PaymentsDb.kt`). What stands here in no table means nothing.

use crate::{Chain, FailureReason};
use poa_common::Network;

/// The whole body with status 404 where a hash is not known. A path that is not known, or a proxy's page, says another thing.
const NOT_KNOWN: &[u8] = b"Not found";
/// How the answer to a payment begins that names no invoice, with status 400: the password may send.
const PARAMETER_MISSING: &[u8] = b"Request parameter ";
/// The kind of the rows that are Lightning payments.
const LIGHTNING: &str = "lightning";
/// How the states of a channel begin that the balance leaves out for the moment.
const DISCONNECTED: [&str; 2] = ["Offline", "Syncing"];

/// Whether a body says that the node does not know the hash.
pub(super) fn is_not_known(status: u16, body: &[u8]) -> bool {
    status == 404 && body == NOT_KNOWN
}

/// Whether the answer to an empty payment says that the password may send.
pub(super) fn is_missing_parameter(status: u16, body: &[u8]) -> bool {
    status == 400 && body.starts_with(PARAMETER_MISSING)
}

/// Whether a row is a Lightning payment, and not one on the chain.
pub(super) fn is_lightning(sub_type: &str) -> bool {
    sub_type == LIGHTNING
}

/// Whether a channel is known and cannot be used now.
pub(super) fn is_disconnected(state: &str) -> bool {
    DISCONNECTED.iter().any(|prefix| state.starts_with(prefix))
}

/// Which sats a chain's are. phoenixd knows two. Those of testnet3 are worth nothing, and there is no other chain to try
/// phoenixd on: receipts call them by the name of a private chain, and verify as money nowhere.
pub(super) fn chain(name: &str) -> Option<(Chain, Network)> {
    match name {
        "mainnet" => Some((Chain::Bitcoin, Network::Mainnet)),
        "testnet3" => Some((Chain::Testnet, Network::Regtest)),
        _ => None,
    }
}

/// Why a payment failed, for a person to read, **once a lookup has said that it failed**. The text alone says nothing of the
/// kind: two of them are said of a payment that succeeds.
pub(super) fn failure(reason: &str) -> FailureReason {
    match reason {
        "not enough funds in wallet to afford payment"
        | "not enough funds"
        // The balance is enough, and not for the fees of the channel on top.
        | "the payment amount is too large" => FailureReason::InsufficientBalance,
        "the recipient was offline or did not have enough liquidity to receive the payment"
        | "recipient node is offline or unreachable"
        | "liquidity issue at the recipient node"
        | "a node in the route had a temporary failure"
        | "routing fees are insufficient"
        | "the payment expiry is too far in the future"
        | "payment attempts exhausted without success" => FailureReason::NoRoute,
        "recipient node rejected the payment" => FailureReason::IncorrectDetails,
        // Said of another attempt with the same hash, which may be on its way or have succeeded.
        "another payment is in progress for that invoice" | "this invoice has already been paid" => {
            FailureReason::Error
        }
        // "payment amount must be positive", "payment request features not supported", "payment ID must be unique",
        // "channel is not connected yet, please retry when connected", "channel creation is in progress, please retry
        // when ready", "channel closing is in progress" (with and without advice), "payment could not be sent through
        // existing channels, check individual failures for more details", "a splicing operation is in progress", "too many
        // pending payments", "the payment amount is too small", "wallet restarted while a payment was ongoing", "an unknown
        // error occurred", and texts of later versions.
        _ => FailureReason::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_of_a_failure_says_what_a_person_can_do_and_any_other_is_an_error() {
        let table = [
            (FailureReason::InsufficientBalance, "not enough funds in wallet to afford payment"),
            (FailureReason::InsufficientBalance, "not enough funds"),
            (FailureReason::InsufficientBalance, "the payment amount is too large"),
            (
                FailureReason::NoRoute,
                "the recipient was offline or did not have enough liquidity to receive the payment",
            ),
            (FailureReason::NoRoute, "recipient node is offline or unreachable"),
            (FailureReason::NoRoute, "liquidity issue at the recipient node"),
            (FailureReason::NoRoute, "a node in the route had a temporary failure"),
            (FailureReason::NoRoute, "routing fees are insufficient"),
            (FailureReason::NoRoute, "the payment expiry is too far in the future"),
            (FailureReason::NoRoute, "payment attempts exhausted without success"),
            (FailureReason::IncorrectDetails, "recipient node rejected the payment"),
            (FailureReason::Error, "another payment is in progress for that invoice"),
            (FailureReason::Error, "this invoice has already been paid"),
            (FailureReason::Error, "channel is not connected yet, please retry when connected"),
            (FailureReason::Error, "wallet restarted while a payment was ongoing"),
            (FailureReason::Error, "an unknown error occurred"),
            (FailureReason::Error, "a text of a later version"),
            (FailureReason::Error, ""),
        ];
        for (expected, text) in table {
            assert_eq!(failure(text), expected, "{text}");
        }
    }
}
