//! The mesh under test: a process for each server, as production runs it, or all in one.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use poa_testkit::{Process, ProcessSpec, binary};

use crate::cluster::Cluster;
use crate::{Failure, plain_http, system};

/// The servers in the order in which they start, each with those that it calls.
const SERVERS: [(&str, &[&str]); 5] = [
    ("auth", &[]),
    ("attestation", &["auth"]),
    ("escrow", &["attestation"]),
    ("task", &["escrow", "attestation"]),
    ("gateway", &["auth", "task", "escrow", "attestation"]),
];
/// How long a server may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a server may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at a server that starts.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// All load comes from one address, which the edge would otherwise bound; sign-ups are made in bulk before, and
/// are not measured, so that their hash may be cheap.
const SETTINGS: [(&str, &str, &str); 8] = [
    ("gateway", "POA__RATES__PER_IP", "100000000"),
    ("gateway", "POA__RATES__IP_BURST", "100000000"),
    ("gateway", "POA__RATES__PER_ACCOUNT", "100000000"),
    ("gateway", "POA__RATES__ACCOUNT_BURST", "100000000"),
    ("gateway", "POA__OPEN__CALLS_PER_IP", "100000"),
    ("gateway", "POA__OPEN__STREAMS_PER_ACCOUNT", "100000"),
    ("auth", "POA__HASHING__MEMORY_KIB", "19456"),
    ("auth", "POA__HASHING__PASSES", "1"),
];

/// A running mesh.
pub(crate) struct Mesh {
    servers: Vec<Server>,
    gateway: String,
    keys: PathBuf,
}

/// One process of it.
struct Server {
    name: &'static str,
    process: Process,
    address: String,
    admin: String,
}

/// Counters of all servers, by server and by name with labels, as `/metrics` has them.
pub(crate) type Counters = BTreeMap<(&'static str, String), f64>;

/// Processor time by server, in seconds.
pub(crate) type CpuSeconds = BTreeMap<&'static str, f64>;

// === impl Mesh ===

impl Mesh {
    /// A process for each server, each service with a database of its own.
    pub(crate) async fn separate(
        cluster: &Cluster,
        folder: &Path,
        extra: &[String],
    ) -> Result<Self, Failure> {
        let data = new_folder(folder, "mesh")?;
        let made =
            std::process::Command::new(binary("poa-mesh")).arg("init").arg("--data").arg(&data).output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
        }
        std::fs::create_dir_all(data.join("lightning"))?;
        let mut servers: Vec<Server> = Vec::with_capacity(SERVERS.len());
        for (name, peers) in SERVERS {
            let mut spec = ProcessSpec::new(binary(&format!("poa-{name}")))
                .env("POA__SERVER__LISTEN", "127.0.0.1:0")
                .env("POA__SERVER__ADMIN_LISTEN", "127.0.0.1:0")
                .env("POA__SERVER__LIMITS__CONNECTIONS_PER_IP", "100000")
                .env("POA__SERVER__KEYS_DIR", data.join("keys"));
            for server in servers.iter().filter(|server| peers.contains(&server.name)) {
                let variable = format!("POA__SERVER__PEERS__{}", server.name.to_uppercase());
                spec = spec.env(variable, format!("http://{}", server.address));
            }
            if name != "gateway" {
                spec = spec.env("POA__DATABASE__URL", cluster.database(&format!("poa_{name}")).await?);
            }
            if name == "escrow" {
                spec = spec.env("POA__LIGHTNING__DATA_DIR", data.join("lightning"));
            }
            for (_, variable, value) in SETTINGS.iter().filter(|(of, _, _)| *of == name) {
                spec = spec.env(variable, value);
            }
            for (variable, value) in extra.iter().filter_map(|setting| set_for(name, setting)) {
                spec = spec.env(variable, value);
            }
            servers.push(Server::start(name, &spec).await?);
        }
        let gateway = servers.last().map(|server| server.address.clone()).unwrap_or_default();
        let mesh = Self { servers, gateway, keys: data.join("keys") };
        mesh.wait_ready().await?;
        Ok(mesh)
    }

    /// The same in one process, on a PostgreSQL of its own.
    pub(crate) async fn single(folder: &Path) -> Result<Self, Failure> {
        let data = new_folder(folder, "single")?;
        let mut spec = ProcessSpec::new(binary("poa-mesh"))
            .env("POA_DATA_DIR", &data)
            .env("POA__LISTEN", "127.0.0.1:0")
            .env("POA__ADMIN_LISTEN", "127.0.0.1:0");
        for (server, variable, value) in SETTINGS {
            // In one process each server's settings stand under its name.
            let variable = variable.replacen("POA__", &format!("POA__{}__", server.to_uppercase()), 1);
            spec = spec.env(variable, value);
        }
        let server = Server::start("mesh", &spec).await?;
        let mesh = Self { gateway: server.address.clone(), servers: vec![server], keys: data.join("keys") };
        mesh.wait_ready().await?;
        Ok(mesh)
    }

    /// Where clients connect to.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.gateway)
    }

    /// The keys of all servers.
    pub(crate) fn keys_dir(&self) -> &Path {
        &self.keys
    }

    /// Where one server listens.
    pub(crate) fn address(&self, name: &str) -> Option<&str> {
        Some(&self.servers.iter().find(|server| server.name == name)?.address)
    }

    /// Processor time of each server so far.
    pub(crate) fn cpu_seconds(&self) -> CpuSeconds {
        self.servers.iter().map(|server| (server.name, system::cpu_seconds(server.process.id()))).collect()
    }

    /// Resident memory of each server, in bytes.
    pub(crate) fn resident_bytes(&self) -> BTreeMap<&'static str, u64> {
        self.servers.iter().map(|server| (server.name, system::resident_bytes(server.process.id()))).collect()
    }

    /// The process ids, for a profiler.
    pub(crate) fn pids(&self) -> Vec<(&'static str, u32)> {
        self.servers.iter().map(|server| (server.name, server.process.id())).collect()
    }

    /// All counters of all servers.
    pub(crate) async fn counters(&self) -> Result<Counters, Failure> {
        let mut counters = Counters::new();
        for server in &self.servers {
            let text = plain_http::get(&server.admin, "/metrics").await?;
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                if let Some((name, value)) = line.rsplit_once(' ')
                    && let Ok(value) = value.parse()
                {
                    counters.insert((server.name, name.to_owned()), value);
                }
            }
        }
        Ok(counters)
    }

    /// Ends all servers in order, the gateway first.
    pub(crate) async fn stop(mut self) {
        for server in self.servers.iter_mut().rev() {
            server.process.terminate(ENDS_WITHIN).await;
        }
    }

    async fn wait_ready(&self) -> Result<(), Failure> {
        for server in &self.servers {
            let deadline = tokio::time::Instant::now() + READY_WITHIN;
            while plain_http::get(&server.admin, "/readyz").await.is_err() {
                if tokio::time::Instant::now() > deadline {
                    return Err(format!("{} is not ready:\n{}", server.name, server.process.log()).into());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }
}

/// What grew between two looks at the counters whose names begin so, of one server or of all.
pub(crate) fn grown(before: &Counters, after: &Counters, server: Option<&str>, prefix: &str) -> f64 {
    let chosen = after
        .iter()
        .filter(|((of, name), _)| server.is_none_or(|server| *of == server) && name.starts_with(prefix));
    chosen.map(|(key, value)| value - before.get(key).copied().unwrap_or(0.0)).sum()
}

// === impl Server ===

impl Server {
    async fn start(name: &'static str, spec: &ProcessSpec) -> Result<Self, Failure> {
        let mut process = spec.spawn();
        process.wait_ready(READY_WITHIN, async |process| addresses(&process.log()).is_some()).await;
        let (address, admin) = addresses(&process.log()).ok_or("a server says where it listens")?;
        Ok(Self { name, process, address, admin })
    }
}

/// The public and the admin address that a server logs, or that the mesh in one process prints.
fn addresses(log: &str) -> Option<(String, String)> {
    if let Some((_, rest)) = log.split_once("page   http://localhost:") {
        let port = rest.split_whitespace().next()?;
        let (_, rest) = rest.split_once("health          http://")?;
        return Some((format!("127.0.0.1:{port}"), rest.split('/').next()?.to_owned()));
    }
    let line = log.lines().find(|line| line.contains("\"serving\""))?;
    let entry: serde_json::Value = serde_json::from_str(line).ok()?;
    Some((entry["address"].as_str()?.to_owned(), entry["admin_address"].as_str()?.to_owned()))
}

/// The variable and value of `VARIABLE=VALUE`, or of `SERVER:VARIABLE=VALUE` where the server is this one.
fn set_for<'a>(name: &str, setting: &'a str) -> Option<(&'a str, &'a str)> {
    let (variable, value) = setting.split_once('=')?;
    match variable.split_once(':') {
        Some((server, variable)) if server == name => Some((variable, value)),
        Some(_) => None,
        None => Some((variable, value)),
    }
}

/// A folder that the user of PostgreSQL may enter.
fn new_folder(parent: &Path, name: &str) -> Result<PathBuf, Failure> {
    let folder = parent.join(name);
    std::fs::create_dir_all(&folder)?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_saying_where_a_server_listens_are_understood() {
        let line =
            r#"{"fields":{},"message":"serving","address":"127.0.0.1:1","admin_address":"127.0.0.1:2"}"#;
        let text = "  gRPC, grpc-web and a page   http://localhost:3\n  metrics and health          http://127.0.0.1:4/metrics\n";
        assert_eq!(addresses(line), Some(("127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned())));
        assert_eq!(addresses(text), Some(("127.0.0.1:3".to_owned(), "127.0.0.1:4".to_owned())));
        assert_eq!(addresses("starting"), None);
    }

    #[test]
    fn a_setting_is_for_one_server_or_for_all() {
        assert_eq!(set_for("task", "task:A=1"), Some(("A", "1")));
        assert_eq!(set_for("auth", "task:A=1"), None);
        assert_eq!(set_for("auth", "A=b=c"), Some(("A", "b=c")));
    }

    #[test]
    fn only_what_grew_and_was_asked_for_is_summed() {
        let before = Counters::from([(("task", "a_total{x=\"1\"}".to_owned()), 2.0)]);
        let after = Counters::from([
            (("task", "a_total{x=\"1\"}".to_owned()), 5.0),
            (("auth", "a_total".to_owned()), 1.0),
            (("auth", "b_total".to_owned()), 9.0),
        ]);
        assert_eq!(grown(&before, &after, None, "a_total"), 4.0);
        assert_eq!(grown(&before, &after, Some("auth"), "a_total"), 1.0);
    }
}
