//! `witness`: sees the checkpoints of logs, and vouches for one history of each.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use poa_sdk::receipts::LogKey;
use poa_sdk::{AgentKey, Cosigner, CosignerError, system_env};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::failure::{Exit, Failure};
use crate::witness::{Witness, server};

#[derive(Debug, Args)]
pub(crate) struct WitnessArgs {
    #[command(subcommand)]
    command: Option<WitnessCommand>,
    /// The witness's key.
    #[arg(long, value_name = "FILE", required = true)]
    key: Option<PathBuf>,
    /// The witness's name, as trust roots have it.
    #[arg(long, required = true)]
    name: Option<String>,
    /// A log's verifier key; may be given again, for other logs and for older keys of one.
    #[arg(long, value_name = "VKEY", required = true)]
    log: Vec<LogKey>,
    /// Where it remembers what it has cosigned. Nobody else may use it, and a backup of it must not be restored.
    #[arg(long, value_name = "DIR", required = true)]
    state: Option<PathBuf>,
    /// Where it listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8100")]
    listen: SocketAddr,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Make a witness's key, and print its verifier key for trust roots.
    Keygen {
        /// Where the key goes.
        file: PathBuf,
        /// The witness's name, such as `witness.example/w`.
        #[arg(long)]
        name: String,
    },
}

pub(crate) async fn run(app: &App, args: WitnessArgs) -> Result<(), Failure> {
    if let Some(WitnessCommand::Keygen { file, name }) = args.command {
        return keygen(app, &file, &name);
    }
    let (Some(key), Some(name), Some(state)) = (args.key, args.name, args.state) else {
        return Err(Failure::new(Exit::Usage, "--key, --name, --log and --state are needed"));
    };
    let cosigner = Cosigner::load(&name, &key)?;
    let witness = Arc::new(Witness::open(cosigner, args.log, &state, system_env(), app.out)?);
    let failed = |error: std::io::Error| Failure::new(Exit::Other, format!("{}: {error}", args.listen));
    let listener = TcpListener::bind(args.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    app.out.either(
        || json!({ "state": "ready", "listen": address.to_string() }),
        || format!("ready: http://{address}/add-checkpoint\n{}", witness.describe().trim_end()),
    )?;
    server::serve(listener, witness, stop()?).await.map_err(failed)
}

/// Done at SIGTERM or SIGINT.
fn stop() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(Exit::Other, format!("signals: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn keygen(app: &App, file: &std::path::Path, name: &str) -> Result<(), Failure> {
    let key = AgentKey::generate(&system_env());
    // The name is checked before there is a file.
    let cosigner = Cosigner::new(name, &key)?;
    key.save(file)?;
    app.out.either(
        || json!({ "verifier_key": cosigner.key().to_string(), "file": file.display().to_string() }),
        || cosigner.key().to_string(),
    )?;
    app.out.progress(&format!(
        "Kept in {}. Keep it secret; the line above goes into the trust root, under `witnesses`.",
        file.display()
    ));
    Ok(())
}

impl From<CosignerError> for Failure {
    fn from(error: CosignerError) -> Self {
        match error {
            CosignerError::Key(error) => error.into(),
            CosignerError::Name(_) => Self::new(Exit::Usage, error.to_string()),
        }
    }
}
