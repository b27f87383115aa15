//! Channels to the services behind the gateway, and whether they answer.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use poa_chassis::Latch;
use poa_chassis::client::Peers;
use poa_proto::Method;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// The services that have public methods.
const SERVICES: [&str; 5] = ["auth", "task", "escrow", "attestation", "search"];
/// Those without which the rest is as good as with them: while one is down, its methods alone are.
const DISPENSABLE: [&str; 1] = ["search"];
/// How often each service is asked whether it serves.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// How long an answer may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Channels to every service.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams {
    channels: Arc<BTreeMap<&'static str, Service>>,
}

/// The connections to one service. Streams have their own, so that open ones leave room for calls; the probe too.
#[derive(Debug)]
struct Service {
    calls: Vec<Channel>,
    streams: Vec<Channel>,
    probe: Channel,
    next: AtomicUsize,
}

/// The name of the service that has a method.
pub(crate) fn service(method: &Method) -> Option<&'static str> {
    let package = method.path.strip_prefix("/poa.")?;
    SERVICES.into_iter().find(|name| package.strip_prefix(*name).is_some_and(|rest| rest.starts_with('.')))
}

// === impl Upstreams ===

impl Upstreams {
    pub(crate) fn new(peers: &Peers, connections: usize) -> io::Result<Self> {
        let mut channels = BTreeMap::new();
        for name in SERVICES {
            // A deployment may go without it.
            if DISPENSABLE.contains(&name) && peers.channel(name).is_err() {
                tracing::warn!(service = name, "has no address: its methods answer that it is down");
                continue;
            }
            let some = || (0..connections.max(1)).map(|_| peers.channel(name)).collect::<io::Result<_>>();
            let (calls, streams, probe) = (some()?, some()?, peers.channel(name)?);
            channels.insert(name, Service { calls, streams, probe, next: AtomicUsize::new(0) });
        }
        Ok(Self { channels: Arc::new(channels) })
    }

    /// The next channel to a service for a method of it, in turn; none where the deployment goes without the service.
    pub(crate) fn channel(&self, service: &str, method: &Method) -> Option<Channel> {
        let service = self.channels.get(service)?;
        let turn = service.next.fetch_add(1, Ordering::Relaxed);
        let channels = if method.server_streaming { &service.streams } else { &service.calls };
        channels.get(turn.checked_rem(channels.len())?).cloned()
    }

    /// Keeps the latch ready while every indispensable service says that it serves.
    pub(crate) fn watch(
        &self,
        latch: Latch,
        stopping: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let services: Vec<(&'static str, Channel)> =
            self.channels.iter().map(|(name, service)| (*name, service.probe.clone())).collect();
        async move {
            let mut known_down: Option<Vec<&str>> = None;
            loop {
                let probes =
                    services.iter().map(|(name, channel)| async move { (*name, serves(channel).await) });
                let down: Vec<&str> = futures_util::future::join_all(probes)
                    .await
                    .into_iter()
                    .filter_map(|(name, up)| (!up).then_some(name))
                    .collect();
                if known_down.as_ref() != Some(&down) {
                    if down.is_empty() {
                        tracing::info!("all services answer");
                    } else {
                        tracing::warn!(down = down.join(","), "services do not answer");
                    }
                    if down.iter().all(|name| DISPENSABLE.contains(name)) {
                        latch.ready();
                    } else {
                        latch.lost();
                    }
                    known_down = Some(down);
                }
                tokio::select! {
                    () = tokio::time::sleep(PROBE_EVERY) => {}
                    () = stopping.cancelled() => return,
                }
            }
        }
    }
}

async fn serves(channel: &Channel) -> bool {
    let mut client = HealthClient::new(channel.clone());
    let check = client.check(HealthCheckRequest { service: String::new() });
    tokio::time::timeout(PROBE_TIMEOUT, check).await.is_ok_and(|answer| answer.is_ok())
}
