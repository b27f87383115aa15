//! A flood of sign-ins.

use std::time::Duration;

use poa_auth::HashingConfig;
use poa_proto::auth::v1::{GetServerInfoRequest, RegisterRequest};
use tonic::Code;

use crate::support::{server, server_with};

/// How many sign-ins come at once.
const FLOOD: usize = 64;

#[tokio::test]
async fn a_flood_of_sign_ins_is_served_in_part_and_refused_in_part_while_others_are_answered() {
    let (parallel, queue) = (1, 4);
    let server = server_with(|config| {
        config.hashing =
            HashingConfig { memory_kib: 32 * 1024, passes: 2, parallel, queue, ..HashingConfig::default() };
    })
    .await;
    server.sign_up("ada").await;
    let flood: Vec<_> = (0..FLOOD)
        .map(|_| {
            let (mut client, request) = (server.auth(), server.login_request("ada"));
            tokio::spawn(async move { client.login(request).await })
        })
        .collect();
    // Whoever needs no hash does not wait for those who do.
    let mut other = server.auth();
    let info = other.get_server_info(GetServerInfoRequest {});
    tokio::time::timeout(Duration::from_secs(5), info).await.unwrap().unwrap();

    let mut served = 0;
    for login in flood {
        match login.await.unwrap() {
            Ok(_) => served += 1,
            Err(status) => {
                use tonic_types::StatusExt as _;
                assert_eq!(status.code(), Code::Unavailable);
                assert_eq!(poa_chassis::failure(&status).reason, "OVERLOADED");
                assert!(status.get_details_retry_info().is_some());
            }
        }
    }
    assert!((parallel + queue..FLOOD).contains(&served), "{served} of {FLOOD} were served");
    // Nothing stays behind.
    server.auth().login(server.login_request("ada")).await.unwrap();
}

#[tokio::test]
async fn a_message_larger_than_the_limit_is_refused_unread() {
    let server = server().await;
    let request = RegisterRequest { display_name: "a".repeat(65 * 1024), ..server.register_request("ada") };
    let refused = server.auth().register(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(poa_chassis::failure(&refused).reason, "FIELDS_INVALID");
}
