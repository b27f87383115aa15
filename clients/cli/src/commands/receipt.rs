//! `receipt`: fetches the receipt of a task.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use poa_sdk::Session;

use crate::app::{App, write_file};
use crate::failure::{Exit, Failure};

/// How long one waits for the log to publish what it has promised; a checkpoint comes each second.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How often the receipt is looked at meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub(crate) struct ReceiptArgs {
    /// `task_…`.
    task_id: String,
    /// Where it goes [default: standard output].
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    output: PathBuf,
    /// Do not wait until the published log reaches all of it.
    #[arg(long)]
    no_wait: bool,
}

pub(crate) async fn run(app: &App, args: ReceiptArgs) -> Result<(), Failure> {
    let session = app.session()?;
    let bundle = if args.no_wait {
        session.receipt(&args.task_id).await?.bundle
    } else {
        logged(&session, &args.task_id).await?
    };
    write_file(app.out, &args.output, &bundle)?;
    if args.output.as_os_str() != "-" {
        let file = args.output.display();
        app.out.progress(&format!("Kept in {file}. Check it, offline: `poa verify {file}`"));
    }
    Ok(())
}

/// The receipt, once all that is in it is in the published log.
pub(crate) async fn logged(session: &Session, task_id: &str) -> Result<Vec<u8>, Failure> {
    let deadline = Instant::now() + MAX_WAIT;
    loop {
        let receipt = session.receipt(task_id).await?;
        if receipt.logged {
            return Ok(receipt.bundle);
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(Exit::Unavailable, "the log has not published all of the receipt yet")
                .hint("try again in a moment, or take it as it is with --no-wait"));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
