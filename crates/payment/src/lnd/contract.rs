//! LND's gRPC contract as far as it is used, generated from `crates/payment/proto`.

use std::fmt;

/// The node: invoices, lists, balances, and how far it has come.
pub mod lnrpc {
    include!("gen/lnrpc.rs");
}

/// Hold invoices.
pub mod invoicesrpc {
    include!("gen/invoicesrpc.rs");
}

/// Payments.
pub mod routerrpc {
    include!("gen/routerrpc.rs");
}

/// Messages with preimages or invoices in them say their name and nothing else: they belong in no log.
macro_rules! prints_its_name {
    ($($message:ty),* $(,)?) => {
        $(impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), "(…)"))
            }
        })*
    };
}

prints_its_name![
    lnrpc::Invoice,
    lnrpc::AddInvoiceResponse,
    lnrpc::Payment,
    lnrpc::ListInvoiceResponse,
    lnrpc::ListPaymentsResponse,
    invoicesrpc::AddHoldInvoiceResp,
    invoicesrpc::SettleInvoiceMsg,
    routerrpc::SendPaymentRequest,
];
