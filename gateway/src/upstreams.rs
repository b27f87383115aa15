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
    calls: Turns<Channel>,
    streams: Turns<Channel>,
    probe: Channel,
}

/// Several that do the same, in turn.
#[derive(Debug)]
struct Turns<T> {
    of: Vec<T>,
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
            let probe = match peers.channel(name) {
                Ok(probe) => probe,
                // A deployment may go without it.
                Err(error) if DISPENSABLE.contains(&name) && error.kind() == io::ErrorKind::NotFound => {
                    tracing::warn!(service = name, "has no address: its methods answer that it is down");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let some = || {
                let channels = (0..connections.max(1)).map(|_| peers.channel(name));
                channels.collect::<io::Result<_>>().map(Turns::new)
            };
            channels.insert(name, Service { calls: some()?, streams: some()?, probe });
        }
        Ok(Self { channels: Arc::new(channels) })
    }

    /// The next channel to a service for a method of it, in turn; none where the deployment goes without the service.
    pub(crate) fn channel(&self, service: &str, method: &Method) -> Option<Channel> {
        let service = self.channels.get(service)?;
        let channels = if method.server_streaming { &service.streams } else { &service.calls };
        channels.next().cloned()
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

// === impl Turns ===

impl<T> Turns<T> {
    fn new(of: Vec<T>) -> Self {
        Self { of, next: AtomicUsize::new(0) }
    }

    fn next(&self) -> Option<&T> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.of.get(turn.checked_rem(self.of.len())?)
    }
}

async fn serves(channel: &Channel) -> bool {
    let mut client = HealthClient::new(channel.clone());
    let check = client.check(HealthCheckRequest { service: String::new() });
    tokio::time::timeout(PROBE_TIMEOUT, check).await.is_ok_and(|answer| answer.is_ok())
}

#[cfg(test)]
mod tests {
    use poa_chassis::keyring::{Keyring, provision};
    use poa_chassis::{Target, system_env};

    use super::*;

    /// The channels of a gateway with addresses of everything, and this one of search.
    async fn with_search(address: Option<&str>) -> io::Result<Upstreams> {
        let (keys, env) = (tempfile::tempdir()?, system_env());
        provision(keys.path(), &["gateway"], &env)?;
        let keyring = Arc::new(Keyring::open(keys.path(), "gateway", "test", &env)?);
        let others = SERVICES.iter().filter(|name| !DISPENSABLE.contains(name));
        let others = others.map(|name| ((*name).to_owned(), "http://127.0.0.1:1"));
        let targets = others.chain(address.map(|address| ("search".to_owned(), address)));
        let targets = targets.map(|(name, address)| (name, Target::Address(address.to_owned())));
        Upstreams::new(&Peers::new(targets.collect(), keyring), 2)
    }

    #[tokio::test]
    async fn a_deployment_may_go_without_search_but_not_with_a_malformed_address_of_it() {
        assert!(with_search(Some("http://127.0.0.1:1")).await.unwrap().channels.contains_key("search"));
        assert!(!with_search(None).await.unwrap().channels.contains_key("search"));
        let refused = with_search(Some("search:50055")).await.unwrap_err();
        assert!(refused.to_string().contains("peers.search"), "{refused}");
    }

    #[test]
    fn each_has_its_turn() {
        let turns = Turns::new(vec!["a", "b", "c"]);
        let taken: Vec<_> = (0..6).filter_map(|_| turns.next()).collect();
        assert_eq!(taken, [&"a", &"b", &"c", &"a", &"b", &"c"]);
        assert_eq!(Turns::<&str>::new(Vec::new()).next(), None);
    }
}
