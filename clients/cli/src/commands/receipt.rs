//! `receipt`: fetches the receipt of a task.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use poa_sdk::Session;
use poa_sdk::receipts::checkpoint::tlog_proof;
use poa_sdk::receipts::{Bundle, Checkpoint};

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
    /// Write the proof of each statement that is in the log to a file of its own, as https://c2sp.org/tlog-proof has it.
    #[arg(long, value_name = "DIR")]
    tlog_proof: Option<PathBuf>,
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
    if let Some(folder) = &args.tlog_proof {
        let written = write_proofs(app, folder, &Bundle::from_json(&bundle)?)?;
        app.out.progress(&format!("{written} proofs are in {}.", folder.display()));
        // Who asked for proofs alone does not want the receipt on the screen.
        if args.output.as_os_str() == "-" {
            return Ok(());
        }
    }
    write_file(app.out, &args.output, &bundle)?;
    if args.output.as_os_str() != "-" {
        let file = args.output.display();
        app.out.progress(&format!("Kept in {file}. Check it, offline: `poa verify {file}`"));
    }
    Ok(())
}

/// Writes `<logIndex>.tlog-proof` for each statement, key event and version that the receipt's checkpoint reaches.
fn write_proofs(app: &App, folder: &Path, bundle: &Bundle) -> Result<usize, Failure> {
    let size = Checkpoint::read_unverified(&bundle.checkpoint)
        .map_err(|error| Failure::new(Exit::Unverified, error.to_string()))?
        .size;
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    let notices = bundle.key_events.iter().chain(&bundle.agent_version);
    let entries = bundle.entries.iter().map(|entry| (entry.log_index, &entry.proof));
    let mut written = 0;
    for (log_index, proof) in entries.chain(notices.map(|notice| (notice.log_index, &notice.proof))) {
        if log_index >= size {
            app.out.warn(&format!("the entry {log_index} is not in the published log yet: it has no proof"));
            continue;
        }
        let path = folder.join(format!("{log_index}.tlog-proof"));
        write_file(app.out, &path, tlog_proof(log_index, proof, &bundle.checkpoint).as_bytes())?;
        written += 1;
    }
    Ok(written)
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
