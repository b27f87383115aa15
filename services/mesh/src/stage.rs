//! One server of the mesh: built, running, and stopped in its turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use poa_chassis::client::Peers;
use poa_chassis::config::ServerConfig;
use poa_chassis::keyring::Keyring;
use poa_chassis::{BuildError, Deps, InProcess, Lifecycle, Listen, Readiness, Served, Target};
use poa_common::Env;
use tokio::task::JoinHandle;

/// How long a server's workers may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running server.
pub(crate) struct Stage {
    name: &'static str,
    lifecycle: Lifecycle,
    /// None once it has ended by itself.
    serving: Option<JoinHandle<Result<(), BuildError>>>,
}

/// What the servers of one process share.
pub(crate) struct Wiring {
    env: Env,
    readiness: Readiness,
    pipes: BTreeMap<String, Target>,
    listens: BTreeMap<&'static str, Listen>,
}

// === impl Wiring ===

impl Wiring {
    /// In-memory pipes to each of `services`.
    pub(crate) fn new(env: Env, services: &[&'static str]) -> Self {
        let mut pipes = BTreeMap::new();
        let mut listens = BTreeMap::new();
        for service in services {
            let (connect, listen) = InProcess::pair();
            pipes.insert((*service).to_owned(), Target::InProcess(connect));
            listens.insert(*service, listen);
        }
        Self { env, readiness: Readiness::default(), pipes, listens }
    }

    /// What must be up before the mesh is.
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The end at which a service accepts connections.
    pub(crate) fn listen(&mut self, service: &'static str) -> Result<Listen, BuildError> {
        self.listens.remove(service).ok_or_else(|| format!("{service} is started twice").into())
    }

    /// What a server is built from.
    pub(crate) fn deps(&self, name: &'static str, server: &ServerConfig) -> Result<Deps, BuildError> {
        let keyring = Arc::new(Keyring::open(&server.keys_dir, name, &server.audience, &self.env)?);
        Ok(Deps {
            env: self.env.clone(),
            peers: Peers::new(self.pipes.clone(), Arc::clone(&keyring)),
            keyring,
            lifecycle: Lifecycle::default(),
            readiness: self.readiness.of_service(name),
        })
    }
}

// === impl Stage ===

impl Stage {
    /// Starts to serve.
    pub(crate) fn start(
        name: &'static str,
        served: impl Served + 'static,
        config: ServerConfig,
        deps: &Deps,
        listen: Listen,
    ) -> Self {
        let lifecycle = deps.lifecycle.clone();
        let deps = deps.clone();
        let serving = tokio::spawn(async move { served.serve(&config, &deps, listen).await });
        Self { name, lifecycle, serving: Some(serving) }
    }

    /// Ends when this server does, which it should not by itself.
    pub(crate) async fn ended(&mut self) -> String {
        let Some(serving) = &mut self.serving else { return std::future::pending().await };
        let outcome = serving.await;
        // Asked once more, a task that has ended would panic.
        self.serving = None;
        match outcome {
            Ok(Ok(())) => format!("{} ended", self.name),
            Ok(Err(error)) => format!("{}: {error}", self.name),
            Err(panic) => format!("{}: {panic}", self.name),
        }
    }

    /// Drains, then stops the workers.
    pub(crate) async fn stop(self) {
        self.lifecycle.begin_drain();
        if let Some(serving) = self.serving {
            match serving.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(service = self.name, error, "did not stop cleanly"),
                Err(panic) => tracing::error!(service = self.name, %panic, "did not stop cleanly"),
            }
        }
        self.lifecycle.stop(PATIENCE).await;
    }
}
