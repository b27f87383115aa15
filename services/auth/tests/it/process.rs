//! The server as a process of its own, over TCP.

use std::time::Duration;

use poa_proto::auth::v1::GetServerInfoRequest;
use poa_proto::auth::v1::auth_service_client::AuthServiceClient;
use poa_testkit::ProcessSpec;
use tonic::transport::Endpoint;

use crate::support::keys;

const DEADLINE: Duration = Duration::from_secs(30);

/// The address that the log says the server listens on.
fn address(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("\"serving\""))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let found = line["address"].as_str().or_else(|| line["fields"]["address"].as_str())?;
    Some(format!("http://{found}"))
}

#[tokio::test]
async fn the_server_starts_from_its_environment_answers_and_ends_in_order() {
    let keys = keys(&poa_testkit::env(9).0);
    let mut server = ProcessSpec::new(env!("CARGO_BIN_EXE_poa-auth"))
        .env("POA__SERVER__KEYS_DIR", keys.path())
        .env("POA__SERVER__LISTEN", "127.0.0.1:0")
        .env("POA__SERVER__ADMIN_LISTEN", "127.0.0.1:0")
        .env("POA__DATABASE__URL", poa_testkit::fresh_database("auth_process").await)
        .spawn();
    server.wait_ready(DEADLINE, async |server| address(&server.log()).is_some()).await;
    let endpoint = Endpoint::from_shared(address(&server.log()).unwrap()).unwrap();
    let mut client = AuthServiceClient::new(endpoint.connect().await.unwrap());
    let info = client.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.network, "simulated");
    drop(client);
    let status = server.terminate(DEADLINE).await;
    assert!(status.success(), "{status}:\n{}", server.log());
}

#[tokio::test]
async fn a_server_that_lacks_its_trust_root_says_so_and_does_not_start() {
    let keys = keys(&poa_testkit::env(9).0);
    std::fs::remove_file(keys.path().join("trust-root.json")).unwrap();
    let mut server = ProcessSpec::new(env!("CARGO_BIN_EXE_poa-auth"))
        .env("POA__SERVER__KEYS_DIR", keys.path())
        .env("POA__SERVER__LISTEN", "127.0.0.1:0")
        .env("POA__SERVER__ADMIN_LISTEN", "127.0.0.1:0")
        .spawn();
    poa_testkit::eventually(DEADLINE, "the server has ended", async || server.exited().is_some()).await;
    assert!(!server.exited().unwrap().success());
    assert!(server.log().contains("trust-root.json"), "{}", server.log());
}
