//! Servers of the benchmark itself, each a process of its own, so that load and server share the cores as they do in
//! the mesh.

use std::net::SocketAddr;
use std::time::Duration;

use poa_testkit::{Process, ProcessSpec};

use crate::Failure;

/// What a server prints before its address.
const LISTENING: &str = "listening on ";

/// Says where this process listens, for whoever started it.
pub(crate) fn announce(address: SocketAddr) {
    println!("{LISTENING}{address}");
}

/// Starts a process and waits until it has said where it listens.
pub(crate) async fn start(spec: &ProcessSpec, within: Duration) -> Result<(Process, String), Failure> {
    let mut process = spec.spawn();
    process.wait_ready(within, async |process| address(&process.log()).is_some()).await;
    let address = address(&process.log()).ok_or("a server says where it listens")?;
    Ok((process, address))
}

/// The address, once its line is complete.
fn address(log: &str) -> Option<String> {
    let (line, _) = log.split_once(LISTENING)?.1.split_once('\n')?;
    Some(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_counts_once_its_line_is_complete() {
        assert_eq!(address("listening on 127.0.0.1:4"), None);
        assert_eq!(address("listening on 127.0.0.1:42\n").as_deref(), Some("127.0.0.1:42"));
    }
}
