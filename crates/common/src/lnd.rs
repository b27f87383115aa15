//! What an LND node must allow the platform: three macaroons by least privilege, each for exactly the calls that are made
//! with it.
//!
//! The provider makes these calls, and `poa admin lnd-macaroons` prints how to bake the macaroons: both read it here, so that
//! they never differ. None of the macaroons may delete: LND refuses to pay twice because it remembers.

/// What a macaroon is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Makes, settles, cancels and watches invoices.
    Invoices,
    /// Sends payments. The payer alone has it.
    Payouts,
    /// Reads what the node holds and has done.
    Reconciliation,
}

// === impl Role ===

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Invoices, Self::Payouts, Self::Reconciliation];

    /// The name, as of the macaroon's file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invoices => "invoices",
            Self::Payouts => "payouts",
            Self::Reconciliation => "reconciliation",
        }
    }

    /// What the macaroon must allow, and all that it should: the arguments of `lncli bakemacaroon`.
    pub fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::Invoices => &[
                "uri:/lnrpc.Lightning/AddInvoice",
                "uri:/lnrpc.Lightning/SubscribeInvoices",
                "uri:/invoicesrpc.Invoices/AddHoldInvoice",
                "uri:/invoicesrpc.Invoices/SettleInvoice",
                "uri:/invoicesrpc.Invoices/CancelInvoice",
                "uri:/invoicesrpc.Invoices/LookupInvoiceV2",
                "uri:/invoicesrpc.Invoices/SubscribeSingleInvoice",
            ],
            Self::Payouts => &[
                "uri:/lnrpc.Lightning/GetInfo",
                "uri:/routerrpc.Router/SendPaymentV2",
                "uri:/routerrpc.Router/TrackPaymentV2",
            ],
            Self::Reconciliation => &[
                "uri:/lnrpc.Lightning/GetInfo",
                "uri:/lnrpc.Lightning/WalletBalance",
                "uri:/lnrpc.Lightning/ChannelBalance",
                "uri:/lnrpc.Lightning/PendingChannels",
                "uri:/lnrpc.Lightning/ListInvoices",
                "uri:/lnrpc.Lightning/ListPayments",
                "uri:/lnrpc.Lightning/LookupHtlcResolution",
                "uri:/routerrpc.Router/TrackPaymentV2",
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payouts_alone_may_send_and_nothing_may_delete_or_open_channels() {
        for role in Role::ALL {
            let permissions = role.permissions();
            let sends = permissions.iter().any(|permission| permission.contains("/Send"));
            assert_eq!(sends, role == Role::Payouts, "{role:?}");
            for permission in permissions {
                assert!(permission.starts_with("uri:/"), "{permission}: by method, not by entity");
                for never in ["Delete", "OpenChannel", "CloseChannel", "SendCoins", "Bake", "Export"] {
                    assert!(!permission.contains(never), "{permission}");
                }
            }
        }
    }
}
