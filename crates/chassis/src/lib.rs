#![doc = include_str!("../README.md")]

pub mod client;
pub mod config;
pub mod failpoint;
pub mod keyring;
pub mod layers;
pub mod metrics;
pub mod token;

mod accept;
mod admin;
mod blocking;
mod context;
mod deps;
mod error;
mod healthcheck;
mod lifecycle;
mod open;
mod principal;
mod readiness;
mod replicas;
mod request;
mod serve;
mod server;
mod system;
mod telemetry;
mod transport;

pub use admin::AdminServer;
pub use blocking::off_thread;
pub use context::Context;
pub use deps::Deps;
pub use error::{Error, failure, status};
pub use lifecycle::{Lifecycle, exit_on_next_signal, signalled};
pub use open::{Held, OpenCounts};
pub use principal::{Caller, Principal};
pub use readiness::{Latch, Readiness};
pub use request::{account, principal, request_uuid, user, validate};
pub use serve::serve_grpc;
pub use server::{App, BuildError, Edge, Served, main, run_app};
pub use system::system_env;
pub use telemetry::init as init_telemetry;
pub use transport::{InProcess, Listen, Target, bind};
