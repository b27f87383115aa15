//! The same mesh as processes of their own: each server so many times, as a deployment has them, without containers.
//!
//! Every replica gets its settings as a file, learns where its peers listen from what those have reported, and is watched.
//! One that dies is reported and not started again: what the others make of that is what one wants to see here.

mod child;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use poa_chassis::config::ServerConfig;
use poa_chassis::{BuildError, exit_on_next_signal, signalled, system_env};

use crate::config::Config;
use crate::databases::Databases;
use crate::provision;
use crate::run::prepare;
use crate::say::say;
use child::{Child, Spec};
use settings::{Kind, SERVERS, Server};

/// Replicas of each server: their connections must fit into PostgreSQL's default of 100.
const MAX_REPLICAS: u16 = 3;
/// How far apart the ports of two replicas are.
const PORT_STEP: u16 = 100;
/// How long a replica may take to serve; the first start makes the tables.
const SERVING_WITHIN: Duration = Duration::from_secs(60);
/// How long a replica may take to end: its drain, its workers, and a little.
const STOP_WITHIN: Duration = Duration::from_secs(25);

/// How the processes are started.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Options {
    /// How many processes of each server.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_REPLICAS)))]
    replicas: u16,
    /// Listen on ports that the system chooses, and print them.
    #[arg(long)]
    any_port: bool,
}

/// All processes, in the order in which they were started.
struct Fleet {
    children: Vec<Child>,
    options: Options,
    folder: PathBuf,
}

/// Runs every server as a process until SIGTERM or Ctrl-C.
pub(crate) async fn run(mut config: Config, options: Options) -> Result<(), BuildError> {
    provision::deployment(&config, &system_env())?;
    tracing::info!("starting the database");
    let databases = Databases::start(&config).await?;
    let mut fleet = Fleet::new(config.data_dir.join("processes"), options);
    let running = async {
        prepare(&mut config, &databases).await?;
        fleet.start_all(&config).await?;
        fleet.welcome(&config);
        fleet.watch().await
    };
    let outcome = tokio::select! {
        () = signalled() => Ok(()),
        outcome = running => outcome,
    };
    say("\nstopping: calls in flight may finish, the data stays");
    exit_on_next_signal();
    fleet.stop().await;
    databases.stop().await?;
    outcome
}

// === impl Fleet ===

impl Fleet {
    fn new(folder: PathBuf, options: Options) -> Self {
        Self { children: Vec::new(), options, folder }
    }

    /// From the inside out: whom a server calls serves before.
    async fn start_all(&mut self, config: &Config) -> Result<(), BuildError> {
        for server in &SERVERS {
            let first = self.children.len();
            for number in 1..=self.options.replicas {
                let own = self.placed(server, config, number)?;
                let name = format!("{}-{number}", server.kind.name());
                let settings =
                    settings::write(&self.folder, &name, config, server.kind, own, self.options.replicas)?;
                let database = server.kind.database(config);
                let child = Child::spawn(Spec { server: server.kind.name(), name, settings, database })?;
                // Before it is waited for: one that does not come up has to be stopped, too.
                let child = self.children.push_mut(child);
                child.listening(SERVING_WITHIN).await?;
                // One process has the simulated node, and it should be the first.
                if server.one_serves && number == 1 {
                    child.serving(SERVING_WITHIN).await?;
                }
            }
            let started = self.children.iter_mut().skip(first);
            for child in started.take(if server.one_serves { 1 } else { usize::MAX }) {
                child.serving(SERVING_WITHIN).await?;
            }
        }
        Ok(())
    }

    /// A server's settings with the ports of this replica and the addresses of its peers.
    fn placed(&self, server: &Server, config: &Config, number: u16) -> Result<ServerConfig, BuildError> {
        let mut own = server.kind.settings(config);
        let step = (number - 1) * PORT_STEP;
        for address in [&mut own.listen, &mut own.admin_listen] {
            let port = if self.options.any_port { 0 } else { port_of(*address, step)? };
            address.set_port(port);
        }
        own.log.filter = format!("{},poa_chassis::server=info", config.log.filter);
        own.peers =
            server.calls.iter().map(|peer| (peer.name().to_owned(), self.addresses_of(*peer))).collect();
        Ok(own)
    }

    fn addresses_of(&self, server: Kind) -> String {
        let replicas = self.children.iter().filter(|child| child.server() == server.name());
        let addresses: Vec<String> =
            replicas.filter_map(Child::address).map(|address| format!("http://{address}")).collect();
        addresses.join(",")
    }

    /// Reports who ends. Ends itself when nobody is left of a server.
    async fn watch(&mut self) -> Result<(), BuildError> {
        loop {
            let mut ends: Vec<_> = self.children.iter_mut().map(|child| Box::pin(child.next_end())).collect();
            let (name, server, how) = std::future::poll_fn(|context| {
                ends.iter_mut()
                    .map(|end| Future::poll(end.as_mut(), context))
                    .find(std::task::Poll::is_ready)
                    .unwrap_or(std::task::Poll::Pending)
            })
            .await;
            drop(ends);
            let left = self.children.iter().filter(|child| child.server() == server && child.lives()).count();
            if left == 0 {
                return Err(format!("{name} {how}, and no {server} is left").into());
            }
            say(format_args!("{name} {how}; {left} of {server} left, the mesh goes on"));
        }
    }

    /// From the outside in: nobody is stopped before who calls it.
    async fn stop(mut self) {
        for server in SERVERS.iter().rev() {
            let mut replicas: Vec<&mut Child> =
                self.children.iter_mut().filter(|child| child.server() == server.kind.name()).collect();
            replicas.iter().for_each(|child| child.terminate());
            for child in &mut replicas {
                child.ended_or_killed(STOP_WITHIN).await;
            }
        }
    }

    /// Tells a person, and a script, what runs where.
    fn welcome(&self, config: &Config) {
        say(format_args!(
            "\nProof of Agent is up on the {} network, in {} processes.\n",
            config.network,
            self.children.len()
        ));
        for child in &self.children {
            say(format_args!("  {child}"));
        }
        say(format_args!(
            "\n  data                {}\n  operator's token    {}\n",
            config.data_dir.display(),
            config.keys_dir().join("admin.token").display()
        ));
        if self.options.replicas > 1 {
            say(
                "Clients use any gateway. One escrow serves and the others stand by: the simulated node is in its process.",
            );
        }
        say("Ctrl-C stops them; the data stays.\n");
    }
}

fn port_of(first: SocketAddr, step: u16) -> Result<u16, BuildError> {
    first
        .port()
        .checked_add(step)
        .ok_or_else(|| format!("{first} leaves no room for the replicas' ports").into())
}
