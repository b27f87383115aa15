//! Journeys over real processes. See the README.

mod grpc_web;
mod guide;
mod journey;
mod kills;
