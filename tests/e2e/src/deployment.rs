//! A mesh under test: one process a server, or all in one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use poa_testkit::{FaultProxy, Process, ProcessSpec, binary, eventually, fresh_database};
use tempfile::TempDir;

use crate::http;

/// The servers of a mesh in the order in which they can be started, each with the servers that it calls.
pub const PROCESSES: [(&str, &[&str]); 6] = [
    ("auth", &[]),
    ("attestation", &["auth"]),
    ("escrow", &["attestation"]),
    ("task", &["escrow", "attestation"]),
    ("search", &["auth", "task", "attestation"]),
    ("gateway", &["auth", "task", "escrow", "attestation", "search"]),
];
/// How long a server may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Answers nothing and is not asked: where a process listens before it has said so.
const ANY_PORT: &str = "127.0.0.1:0";

/// A running mesh.
pub struct Deployment {
    data: TempDir,
    servers: BTreeMap<&'static str, Server>,
    links: BTreeMap<(&'static str, &'static str), FaultProxy>,
    gateway: String,
    admin: String,
}

/// One process: how to start it, and where it listens.
struct Server {
    name: &'static str,
    variables: Vec<(String, String)>,
    process: Option<Process>,
    address: String,
    admin: String,
}

// === impl Deployment ===

impl Deployment {
    /// A mesh of one process a server, each service with its own database.
    pub async fn separate() -> Self {
        Self::separate_with(&[]).await
    }

    /// The same with settings of one's own: the name of a process, a variable, its value.
    pub async fn separate_with(settings: &[(&str, &str, &str)]) -> Self {
        Self::separate_through(settings, &[]).await
    }

    /// The same with a fault proxy on the way from one process to another, for each of these pairs.
    pub async fn separate_through(
        settings: &[(&str, &str, &str)],
        links: &[(&'static str, &'static str)],
    ) -> Self {
        Self::assemble(settings, links, |_| {}).await
    }

    /// The same with something done to the folder of the keys before any process starts.
    pub async fn separate_prepared(settings: &[(&str, &str, &str)], prepare: impl FnOnce(&Path)) -> Self {
        Self::assemble(settings, &[], prepare).await
    }

    async fn assemble(
        settings: &[(&str, &str, &str)],
        links: &[(&'static str, &'static str)],
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let mut proxies = BTreeMap::new();
        let data = data_folder();
        initialise(data.path());
        prepare(&data.path().join("keys"));
        let mut servers: BTreeMap<&'static str, Server> = BTreeMap::new();
        for (name, peers) in PROCESSES {
            let mut variables = vec![("POA__SERVER__KEYS_DIR".to_owned(), text(&data.path().join("keys")))];
            for peer in peers {
                let mut address = servers.get(peer).map(|server| server.address.clone()).unwrap_or_default();
                if links.contains(&(name, *peer)) {
                    let proxy = FaultProxy::to_tcp(address).await;
                    address = proxy.address().to_owned();
                    proxies.insert((name, *peer), proxy);
                }
                variables.push((
                    format!("POA__SERVER__PEERS__{}", peer.to_uppercase()),
                    format!("http://{address}"),
                ));
            }
            if name != "gateway" {
                variables
                    .push(("POA__DATABASE__URL".to_owned(), fresh_database(&format!("e2e_{name}")).await));
            }
            if name == "escrow" {
                variables.push(("POA__LIGHTNING__DATA_DIR".to_owned(), text(&data.path().join("lightning"))));
            }
            let own = settings.iter().filter(|(process, _, _)| *process == name);
            variables.extend(own.map(|(_, variable, value)| ((*variable).to_owned(), (*value).to_owned())));
            let mut server = Server {
                name,
                variables,
                process: None,
                address: ANY_PORT.to_owned(),
                admin: ANY_PORT.to_owned(),
            };
            server.start().await;
            servers.insert(name, server);
        }
        let place = |name| servers.get(name).map(|server| (server.address.clone(), server.admin.clone()));
        let (gateway, _) = place("gateway").unwrap_or_default();
        let (_, admin) = place("escrow").unwrap_or_default();
        let mesh = Self { data, servers, links: proxies, gateway, admin };
        mesh.wait_ready().await;
        mesh
    }

    /// The same in one process, on a private PostgreSQL cluster.
    pub async fn single() -> Self {
        Self::single_with(&[]).await
    }

    /// The same with settings of one's own: a variable, its value.
    pub async fn single_with(settings: &[(&str, &str)]) -> Self {
        let data = data_folder();
        let own = settings.iter().map(|(variable, value)| ((*variable).to_owned(), (*value).to_owned()));
        let variables = [("POA_DATA_DIR".to_owned(), text(data.path()))].into_iter().chain(own).collect();
        let mut server = Server {
            name: "mesh",
            variables,
            process: None,
            address: ANY_PORT.to_owned(),
            admin: ANY_PORT.to_owned(),
        };
        server.start().await;
        let (gateway, admin) = (server.address.clone(), server.admin.clone());
        let servers = BTreeMap::from([("mesh", server)]);
        let mesh = Self { data, servers, links: BTreeMap::new(), gateway, admin };
        mesh.wait_ready().await;
        mesh
    }

    /// Where clients connect to.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.gateway)
    }

    /// Where one process listens for calls and where for operators, as URLs.
    pub fn endpoints_of(&self, name: &str) -> Option<(String, String)> {
        let server = self.servers.get(name)?;
        Some((format!("http://{}", server.address), format!("http://{}", server.admin)))
    }

    /// The folder with the deployment's keys.
    pub fn keys_folder(&self) -> PathBuf {
        self.data.path().join("keys")
    }

    /// The public port.
    pub fn port(&self) -> u16 {
        port(&self.gateway)
    }

    /// The port with the ledger's admin methods.
    pub fn admin_endpoint(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// The file with the operator's token.
    pub fn admin_token_file(&self) -> PathBuf {
        self.data.path().join("keys/admin.token")
    }

    /// The trust root, as an operator would hand it out.
    pub fn trust_root_file(&self) -> PathBuf {
        self.data.path().join("keys/trust-root.json")
    }

    /// Where a process serves, and where its admin port is.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn addresses(&self, name: &str) -> (SocketAddr, SocketAddr) {
        let server = self.servers.get(name).expect("a process of this mesh");
        let parsed = |address: &str| address.parse().expect("an address");
        (parsed(&server.address), parsed(&server.admin))
    }

    /// The id of a process, to look it up in the system.
    ///
    /// # Panics
    /// Where there is no such process, or it does not run.
    pub fn process_id(&self, name: &str) -> u32 {
        let server = self.servers.get(name).expect("a process of this mesh");
        server.process.as_ref().expect("a running process").id()
    }

    /// The log of one process.
    ///
    /// # Panics
    /// Where there is no such process, or it does not run.
    pub fn log(&self, name: &str) -> String {
        let server = self.servers.get(name).expect("a process of this mesh");
        server.process.as_ref().expect("a running process").log()
    }

    /// The proxy on the way from one process to another.
    ///
    /// # Panics
    /// Where none was asked for.
    pub fn link(&self, caller: &'static str, callee: &'static str) -> &FaultProxy {
        self.links.get(&(caller, callee)).expect("a link of this mesh that goes through a proxy")
    }

    /// A variable that a process is started with, such as the URL of its database.
    pub fn variable(&self, name: &str, variable: &str) -> Option<&str> {
        let variables = &self.servers.get(name)?.variables;
        variables.iter().find(|(held, _)| held == variable).map(|(_, value)| value.as_str())
    }

    /// Sets a variable for the next start of a process; none takes it away.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn set_variable(&mut self, name: &str, variable: &str, value: Option<&str>) {
        let server = self.servers.get_mut(name).expect("a process of this mesh");
        server.variables.retain(|(held, _)| held != variable);
        server.variables.extend(value.map(|value| (variable.to_owned(), value.to_owned())));
    }

    /// How a process has ended, if it has.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn exited(&mut self, name: &str) -> Option<ExitStatus> {
        let server = self.servers.get_mut(name).expect("a process of this mesh");
        server.process.as_mut().and_then(Process::exited)
    }

    /// The names of the processes.
    pub fn names(&self) -> Vec<&'static str> {
        self.servers.keys().copied().collect()
    }

    /// kill -9, then a start at the same address.
    ///
    /// # Panics
    /// Where there is no such process, or it does not come up again.
    pub async fn kill_and_restart(&mut self, name: &str) {
        self.kill(name);
        self.start(name).await;
    }

    /// kill -9. [`Self::start`] starts it again at the same address.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn kill(&mut self, name: &str) {
        let server = self.servers.get_mut(name).expect("a process of this mesh");
        if let Some(process) = &mut server.process {
            process.kill();
        }
    }

    /// SIGTERM to a process; answers with its exit code.
    ///
    /// # Panics
    /// Where there is no such process, or it does not end.
    pub async fn terminate(&mut self, name: &str) -> Option<i32> {
        let server = self.servers.get_mut(name).expect("a process of this mesh");
        let mut process = server.process.take().expect("a running process");
        process.terminate(Duration::from_secs(30)).await.code()
    }

    /// Starts a process that was stopped.
    ///
    /// # Panics
    /// Where there is no such process, or it does not come up.
    pub async fn start(&mut self, name: &str) {
        self.servers.get_mut(name).expect("a process of this mesh").start().await;
    }

    /// Waits until every process says that it is ready.
    pub async fn wait_ready(&self) {
        for server in self.servers.values() {
            let admin = port(&server.admin);
            eventually(READY_WITHIN, server.name, async || {
                http::request(admin, "GET", "/readyz", &[], b"").await.status == 200
            })
            .await;
        }
    }

    /// The logs of all processes, for the message of a failed test.
    pub fn logs(&self) -> String {
        let logs = self.servers.values().filter_map(|server| {
            server.process.as_ref().map(|process| format!("== {}\n{}", server.name, process.log()))
        });
        logs.collect::<Vec<_>>().join("\n")
    }
}

// === impl Server ===

impl Server {
    /// Starts the process and reads where it listens. After the first time, that stays.
    async fn start(&mut self) {
        let single = self.name == "mesh";
        let prefix = if single { "POA__" } else { "POA__SERVER__" };
        let mut spec = ProcessSpec::new(binary(&format!("poa-{}", self.name)))
            .env(format!("{prefix}LISTEN"), &self.address)
            .env(format!("{prefix}ADMIN_LISTEN"), &self.admin);
        for (name, value) in &self.variables {
            spec = spec.env(name, value);
        }
        let mut process = spec.spawn();
        process.wait_ready(READY_WITHIN, async |process| addresses(&process.log(), single).is_some()).await;
        if let Some((address, admin)) = addresses(&process.log(), single) {
            (self.address, self.admin) = (address, admin);
        }
        self.process = Some(process);
    }
}

/// The public and the admin address that a process reports.
fn addresses(log: &str, single: bool) -> Option<(String, String)> {
    if single {
        let after = |label: &str| {
            let rest = log.split_once(label)?.1;
            rest.split(|letter: char| letter.is_whitespace() || letter == '/').next().map(str::to_owned)
        };
        let public = after("page   http://localhost:")?;
        return Some((format!("127.0.0.1:{public}"), after("health          http://")?));
    }
    let line = log.lines().find(|line| line.contains("\"serving\""))?;
    let entry: serde_json::Value = serde_json::from_str(line).ok()?;
    Some((entry["address"].as_str()?.to_owned(), entry["admin_address"].as_str()?.to_owned()))
}

/// Makes the keys of a deployment with the operator's own command.
fn initialise(data: &Path) {
    let made = std::process::Command::new(binary("poa-mesh")).arg("init").arg("--data").arg(data).output();
    let made = made.expect("poa-mesh starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::create_dir_all(data.join("lightning")).expect("a folder for the node");
}

/// A folder that the user of PostgreSQL may enter.
pub(crate) fn data_folder() -> TempDir {
    let data = tempfile::tempdir().expect("a data folder");
    std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o755)).expect("an open folder");
    data
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("an address with a port")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
