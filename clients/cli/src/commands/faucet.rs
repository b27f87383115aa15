//! `faucet`: the outside wallet of the simulated network.

use clap::Subcommand;
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;
use crate::units::{Amount, sats};

#[derive(Debug, Subcommand)]
pub(crate) enum FaucetCommand {
    /// Pay an invoice of this server from outside.
    Pay {
        /// A BOLT11 invoice, as `poa deposit` prints it.
        invoice: String,
    },
    /// Make an outside invoice to withdraw to.
    Invoice {
        /// How much.
        amount: Amount,
    },
}

pub(crate) async fn run(app: &App, command: FaucetCommand) -> Result<(), Failure> {
    let session = app.session()?;
    match command {
        FaucetCommand::Pay { invoice } => {
            let paid = session.faucet_pay(&invoice).await?;
            app.out.either(
                || json!({ "amount_msat": paid.to_string() }),
                || format!("The faucet paid {}.", sats(paid)),
            )
        }
        FaucetCommand::Invoice { amount } => {
            let invoice = session.faucet_invoice(app.msat(amount)?).await?;
            app.out.either(|| json!({ "invoice": invoice }), || invoice.clone())
        }
    }
}
