//! GetJwks and GetServerInfo.

use poa_proto::auth::v1::{GetJwksRequest, GetServerInfoRequest};

use crate::support::server;

#[tokio::test]
async fn the_key_set_holds_the_public_half_of_the_signing_key_and_nothing_private() {
    let server = server().await;
    let text = server.auth().get_jwks(GetJwksRequest {}).await.unwrap().into_inner().jwks_json;
    let set: serde_json::Value = serde_json::from_str(&text).unwrap();
    let key = &set["keys"][0];
    assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("OKP"), Some("Ed25519")));
    assert_eq!(key["kid"], poa_chassis::keyring::key_id(&server.jwt_key().verifying_key()));
    assert!(key.get("d").is_none());
}

#[tokio::test]
async fn a_client_learns_network_fee_bounds_and_keys() {
    let server = server().await;
    let info = server.auth().get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.network, "simulated");
    assert_eq!(info.server_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(info.fee_basis_points, 500);
    assert_eq!((info.min_price_msat, info.max_price_msat), (1_000, 1_000_000_000_000));
    assert_eq!(info.max_inline_bytes, 131_072);
    assert_eq!(info.log_origin, "log.example");
    assert_eq!((info.log_public_key.len(), info.receipt_public_key.len()), (32, 32));
    assert_ne!(info.log_public_key, info.receipt_public_key);
    assert!(info.faucet);
}
