//! `--healthcheck`: asks the admin port of a running server whether it is ready. A container has no other tool for that.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long the answer may take: less than what whoever asks allows, so that our message is the one that is seen.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of the answer that are read.
const MAX_ANSWER_BYTES: u64 = 4_096;

/// Asks `/readyz` of the server whose admin port this is. Answers with what it waits for, where it is not ready.
pub(crate) fn check(admin: SocketAddr) -> io::Result<Result<(), String>> {
    let address = SocketAddr::new(reachable(admin.ip()), admin.port());
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(Ok(()));
    }
    let body = answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body);
    Ok(Err(body.trim().to_owned()))
}

/// A server that listens on every address is asked on the loopback.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers one request and ends.
    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let _read = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn a_ready_server_is_healthy_and_another_says_what_it_waits_for() {
        let ready = answering("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n");
        assert_eq!(check(SocketAddr::from(([0, 0, 0, 0], ready.port()))).unwrap(), Ok(()));
        let waiting = answering("HTTP/1.1 503 Service Unavailable\r\n\r\nwaiting for database\n");
        assert_eq!(check(waiting).unwrap(), Err("waiting for database".to_owned()));
    }

    #[test]
    fn nobody_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(check(address).is_err());
    }
}
