//! `payout`: where the account is paid out to, and from which balance on by itself.

use clap::Subcommand;
use poa_sdk::api::escrow::{PayoutDestination, SetPayoutDestinationRequest};

use crate::app::App;
use crate::describe;
use crate::failure::Failure;
use crate::output::{fields, plain};
use crate::units::{Amount, sats};

#[derive(Debug, Subcommand)]
pub(crate) enum PayoutCommand {
    /// Set the Lightning address that you are paid out to.
    Set {
        /// Such as name@host.
        address: String,
        /// Pay all of the balance out by itself whenever this much is available [default: never by itself].
        #[arg(long, value_name = "AMOUNT")]
        from: Option<Amount>,
    },
    /// Remove it, at once: nothing is paid out by itself any more.
    Clear,
    /// Show it.
    Show,
}

pub(crate) async fn run(app: &App, command: PayoutCommand) -> Result<(), Failure> {
    let session = app.session()?;
    let set = |lightning_address, automatic_threshold_msat| {
        let request = SetPayoutDestinationRequest {
            request_id: String::new(),
            lightning_address,
            automatic_threshold_msat,
        };
        session.set_payout_destination(request)
    };
    let destination = match command {
        PayoutCommand::Set { address, from } => {
            set(address, from.map_or(Ok(0), |amount| app.msat(amount))?).await?
        }
        PayoutCommand::Clear => set(String::new(), 0).await?,
        PayoutCommand::Show => session.payout_destination().await?,
    };
    app.out.show(&destination, || text_of(&destination))
}

fn text_of(destination: &PayoutDestination) -> String {
    let address = plain(&destination.lightning_address);
    let pending = plain(&destination.pending_lightning_address);
    if address.is_empty() && pending.is_empty() {
        return "There is no payout destination. Set one: `poa payout set ADDRESS`".to_owned();
    }
    let by_itself = match destination.automatic_threshold_msat {
        0 => "never".to_owned(),
        threshold => format!("all of the balance, whenever {} are available", sats(threshold)),
    };
    let mut rows = vec![("by itself", by_itself)];
    if !address.is_empty() {
        rows.insert(0, ("address", address));
    }
    if !pending.is_empty() {
        let from = describe::time(destination.pending_effective_time.as_ref());
        rows.push(("waits", format!("{pending}, takes its place on {from}. Not you? `poa payout clear`")));
    }
    if !destination.automatic_problem.is_empty() {
        rows.push(("problem", plain(&destination.automatic_problem)));
    }
    fields(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_says_when_it_pays_and_what_waits_to_take_its_place() {
        assert!(text_of(&PayoutDestination::default()).contains("poa payout set"));
        let set = PayoutDestination { lightning_address: "a@b.example".to_owned(), ..Default::default() };
        assert_eq!(text_of(&set), "address    a@b.example\nby itself  never");
        let changing = PayoutDestination {
            automatic_threshold_msat: 10_000_000,
            pending_lightning_address: "c@d.example".to_owned(),
            automatic_problem: "no such name".to_owned(),
            ..set
        };
        let text = text_of(&changing);
        assert!(text.contains("whenever 10,000 sat are available"), "{text}");
        assert!(text.contains("c@d.example, takes its place"), "{text}");
        assert!(text.contains("problem    no such name"), "{text}");
    }
}
