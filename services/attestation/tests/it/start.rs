//! What the service refuses to start with.

use std::fs;

use poa_common::Network;

use crate::server::{Deployment, ORIGIN};

async fn complaint(deployment: &Deployment) -> String {
    deployment.try_build().await.expect_err("it must not start").to_string()
}

#[tokio::test]
async fn missing_keys_are_named_and_never_made() {
    for name in ["receipt.key", "log.key", "trust-root.json"] {
        let deployment = Deployment::new().await;
        let path = deployment.keys.path().join(name);
        fs::remove_file(&path).unwrap();
        let complaint = complaint(&deployment).await;
        assert!(complaint.contains(name) && complaint.contains("poa-mesh init"), "{complaint}");
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn keys_that_the_trust_root_does_not_name_are_refused() {
    for name in ["receipt.key", "log.key"] {
        let deployment = Deployment::new().await;
        let path = deployment.keys.path().join(name);
        fs::remove_file(&path).unwrap();
        poa_chassis::keyring::signing_key(&path, &deployment.env).unwrap();
        let complaint = complaint(&deployment).await;
        assert!(complaint.contains(name) && complaint.contains("trust-root.json"), "{complaint}");
    }
}

#[tokio::test]
async fn a_database_with_another_log_is_refused() {
    let deployment = Deployment::new().await;
    deployment.replica().await.stop().await;
    for name in ["receipt.key", "log.key", "trust-root.json"] {
        fs::remove_file(deployment.keys.path().join(name)).unwrap();
    }
    let keys = deployment.keys.path();
    poa_attestation::provision(keys, Network::Simulated, ORIGIN, &deployment.env).unwrap();
    let complaint = complaint(&deployment).await;
    assert!(complaint.contains("another") || complaint.contains("no log key"), "{complaint}");
}

#[tokio::test]
async fn provisioning_again_keeps_what_is_there() {
    let deployment = Deployment::new().await;
    let keys = deployment.keys.path();
    let again = poa_attestation::provision(keys, Network::Mainnet, "another", &deployment.env).unwrap();
    assert_eq!(again, deployment.trust_root);
}
