//! The trust root that a client pins when it first meets a server.

use poa_common::Network;
use poa_proto::auth::v1::GetServerInfoResponse;
use proof_of_agent::{DidKey, LogKey, TrustRoot};

use crate::error::Error;

/// The trust root of what a server says of itself. Whoever uses it believes this server at this moment, and checks all that
/// it says later against it: trust on first use. A trust root from someone else is better.
pub fn pinned_trust_root(info: &GetServerInfoResponse) -> Result<TrustRoot, Error> {
    if !info.trust_root.is_empty() {
        let root = TrustRoot::from_json(&info.trust_root);
        return root.map_err(|error| Error::Contract(format!("the server's trust root: {error}")));
    }
    let broken =
        |what: &str, why: String| Error::Contract(format!("{what} of the server's information: {why}"));
    let network: Network = info.network.parse().map_err(|error| broken("network", error))?;
    let key = |name, bytes: &[u8]| DidKey::from_slice(bytes).map_err(|error| broken(name, error.to_string()));
    let log_key = LogKey::new(info.log_origin.clone(), key("log_public_key", &info.log_public_key)?)
        .map_err(|error| broken("log_origin", error.to_string()))?;
    let receipt_key = key("receipt_public_key", &info.receipt_public_key)?;
    TrustRoot::new(network, info.log_origin.clone(), vec![log_key], vec![receipt_key], None)
        .map_err(|error| broken("keys", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::system_env;
    use crate::key::AgentKey;

    fn info() -> GetServerInfoResponse {
        let key = || AgentKey::generate(&system_env()).public_key().to_vec();
        GetServerInfoResponse {
            network: "simulated".to_owned(),
            log_origin: "simulated.poa/00ff".to_owned(),
            log_public_key: key(),
            receipt_public_key: key(),
            ..GetServerInfoResponse::default()
        }
    }

    #[test]
    fn a_trust_root_holds_the_keys_of_the_server() {
        let info = info();
        let root = pinned_trust_root(&info).unwrap();
        assert_eq!(root.network(), Network::Simulated);
        assert_eq!(root.receipt_keys()[0].as_bytes().as_slice(), info.receipt_public_key);
        assert_eq!(root.log_keys()[0].name(), info.log_origin);
    }

    #[test]
    fn a_server_without_usable_keys_is_not_pinned() {
        assert!(pinned_trust_root(&GetServerInfoResponse { log_public_key: vec![0; 32], ..info() }).is_err());
        assert!(pinned_trust_root(&GetServerInfoResponse { network: "moon".to_owned(), ..info() }).is_err());
    }
}
