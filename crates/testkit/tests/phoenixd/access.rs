//! Who may do what, and that the stand-in is as strict as phoenixd.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use poa_payment::phoenixd::{CredentialsError, OpenError, Options, PhoenixdNode, Trouble};
use poa_payment::{Doubt, Outcome, Payer as _, Provider as _};
use poa_testkit::phoenixd::{Endpoint, Trouble as Answered};

use crate::support::{FULL, Fixture, LIMITED, PATIENCE, raw, settled};

#[tokio::test]
async fn the_provider_works_with_the_limited_password_and_only_the_payer_needs_the_full_one() {
    let fixture = Fixture::new(80).await;
    fixture.node.ready(PATIENCE).await.unwrap();
    fixture.payer.check().await.unwrap();
    let intent = fixture.outside();
    assert!(settled(&fixture.pay(&intent).await, intent.hash).is_some());

    let (node, payer) =
        fixture.another(|options| options.password_file = fixture.phoenixd.limited_password_file());
    node.ready(PATIENCE).await.unwrap();
    assert!(matches!(payer.check().await, Err(Trouble::Password)));
    let intent = fixture.outside();
    assert_eq!(payer.pay(intent.clone()).await, Outcome::Unknown(Doubt::NotFound));
    assert_eq!(fixture.phoenixd.attempts_of(*intent.hash.as_bytes()), 0);
}

#[tokio::test]
async fn a_wrong_password_answers_nothing_and_sends_nothing() {
    let fixture = Fixture::new(81).await;
    let folder = tempfile::tempdir().unwrap();
    let wrong = password(folder.path(), "wrong", 0o600);
    let (node, payer) = fixture.another(|options| {
        options.password_file = wrong;
        options.limited_password_file = None;
    });
    assert!(matches!(node.ready(PATIENCE).await, Err(Trouble::Password)), "waiting does not help");
    let intent = fixture.outside();
    assert_eq!(payer.pay(intent.clone()).await, Outcome::Unknown(Doubt::NoAnswer));
    assert_eq!(node.lookup_payment(intent.hash).await, Outcome::Unknown(Doubt::NoAnswer));
    assert!(node.lookup_invoice(intent.hash).await.is_err());
}

#[tokio::test]
async fn passwords_are_read_from_files_of_ones_own_and_never_printed() {
    let fixture = Fixture::new(82).await;
    let folder = tempfile::tempdir().unwrap();
    let open = password(folder.path(), FULL, 0o640);
    let options = Options::new(fixture.phoenixd.url(), open);
    let refused = PhoenixdNode::open(&options, fixture.env.clone());
    assert!(matches!(refused, Err(OpenError::Credentials(CredentialsError::Open { .. }))));
    let printed = format!("{:?} {:?}", fixture.node, fixture.payer);
    assert!(!printed.contains("password"), "{printed}");
    // Nor in what is said of an answer that was not understood.
    fixture.phoenixd.set_chain("secretchain");
    let error = fixture.node.info().await.unwrap_err();
    let printed = format!("{error:?} {error}");
    assert!(!printed.contains("secretchain") && !printed.contains(FULL), "{printed}");
}

#[tokio::test]
async fn a_start_waits_for_the_node_and_says_what_is_wrong_with_it() {
    let fixture = Fixture::new(85).await;
    fixture.phoenixd.stop();
    let waiting = fixture.node.clone();
    let waiting = tokio::spawn(async move { waiting.ready(PATIENCE).await });
    let none = fixture.node.ready(Duration::ZERO).await;
    assert!(matches!(none, Err(Trouble::NoAnswer(_))), "{none:?}");
    fixture.phoenixd.start_again().await;
    assert!(waiting.await.unwrap().unwrap().synced);
    // Something before it, and something else at its place.
    let page = "<html>".to_owned();
    fixture.phoenixd.trouble(Endpoint::GetInfo, [Answered::Answers(502, page.clone())]);
    assert!(matches!(fixture.node.ready(Duration::ZERO).await, Err(Trouble::NoAnswer(_))));
    fixture.phoenixd.trouble(Endpoint::GetInfo, [Answered::Answers(200, page)]);
    assert!(matches!(fixture.node.ready(PATIENCE).await, Err(Trouble::NotUnderstood(_))));
    fixture.phoenixd.set_chain("regtest");
    assert!(matches!(fixture.node.ready(PATIENCE).await, Err(Trouble::Chain)));
}

fn password(folder: &Path, text: &str, mode: u32) -> std::path::PathBuf {
    let path = folder.join("password");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[tokio::test]
async fn the_stand_in_refuses_as_phoenixd_does() {
    let fixture = Fixture::new(83).await;
    let unauthorized = "Invalid authentication (use basic auth with the http password set in phoenix.conf)";
    let hash = "0".repeat(64);
    let incoming = format!("GET /payments/incoming/{hash}");
    let cases = [
        ("GET /getinfo", None, "", 401, unauthorized),
        ("GET /getinfo", Some("wrong"), "", 401, unauthorized),
        ("POST /payinvoice", Some(LIMITED), "", 401, unauthorized),
        ("POST /payinvoice", Some(FULL), "", 400, "Request parameter invoice is missing"),
        (
            "POST /payinvoice",
            Some(FULL),
            "invoice=lnbc1",
            400,
            "Request parameter invoice couldn't be parsed/converted to bolt11invoice",
        ),
        (
            "POST /payinvoice",
            Some(FULL),
            "amountSat=1&sendAll=true",
            400,
            "Cannot use both amountSat and sendAll request parameters",
        ),
        ("GET /payinvoice", Some(FULL), "", 405, "Invalid http method (use the correct GET/POST)"),
        ("GET /nothing", Some(FULL), "", 404, "Unknown endpoint (check api doc)"),
        (incoming.as_str(), Some(LIMITED), "", 404, "Not found"),
        (
            "GET /payments/outgoingbyhash/xyz",
            Some(LIMITED),
            "",
            400,
            "Request parameter paymentHash couldn't be parsed/converted to hex32",
        ),
        (
            "POST /createinvoice",
            Some(LIMITED),
            "amountSat=1",
            400,
            "Must provide either a description or descriptionHash",
        ),
        (
            "POST /createinvoice",
            Some(LIMITED),
            "amountSat=one&description=x",
            400,
            "Request parameter amountSat couldn't be parsed/converted to integer",
        ),
    ];
    for (request, password, form, status, text) in cases {
        let (found, head, body) = raw(&fixture.phoenixd.address(), request, password, form).await;
        assert_eq!((found, body.as_str()), (status, text), "{request}");
        assert!(head.to_lowercase().contains("content-type: text/plain"), "{head}");
    }
}

#[tokio::test]
async fn the_stand_in_writes_json_as_phoenixd_does() {
    let fixture = Fixture::new(84).await;
    let form = "description=a+cup+%26+a+saucer&expirySeconds=60&externalId=7";
    let (status, head, body) =
        raw(&fixture.phoenixd.address(), "POST /createinvoice", Some(LIMITED), form).await;
    assert!(status == 200 && head.to_lowercase().contains("application/json"), "{head}");
    assert!(body.contains("\n") && !body.contains("amountSat") && !body.contains("type"), "{body}");
    let made: serde_json::Value = serde_json::from_str(&body).unwrap();
    let hash = made["paymentHash"].as_str().unwrap();

    let (_, _, body) =
        raw(&fixture.phoenixd.address(), &format!("GET /payments/incoming/{hash}"), Some(LIMITED), "").await;
    let row: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&row["type"], &row["subType"]), (&"incoming_payment".into(), &"lightning".into()));
    assert_eq!((&row["description"], &row["externalId"]), (&"a cup & a saucer".into(), &"7".into()));
    assert_eq!((&row["isPaid"], &row["receivedSat"]), (&false.into(), &0.into()));
    assert!(row["preimage"].is_string() && !body.contains("null"), "{body}");

    let (_, _, body) =
        raw(&fixture.phoenixd.address(), "GET /payments/incoming?externalId=7&all=true", Some(LIMITED), "")
            .await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap().as_array().unwrap().len(), 1);
    let (_, _, body) =
        raw(&fixture.phoenixd.address(), "GET /payments/incoming?externalId=7", Some(LIMITED), "").await;
    assert_eq!(body, "[]", "an unpaid one is not among the received");

    let intent = fixture.outside();
    let paid = raw(
        &fixture.phoenixd.address(),
        "POST /payinvoice",
        Some(FULL),
        &format!("invoice={}", intent.bolt11),
    )
    .await;
    let paid: serde_json::Value = serde_json::from_str(&paid.2).unwrap();
    assert_eq!((&paid["recipientAmountSat"], &paid["routingFeeSat"]), (&10_000.into(), &44.into()));
    let id = paid["paymentId"].as_str().unwrap();
    let (_, _, body) =
        raw(&fixture.phoenixd.address(), &format!("GET /payments/outgoing/{id}"), Some(LIMITED), "").await;
    let row: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&row["sent"], &row["fees"]), (&10_044.into(), &44_000.into()));

    let again = raw(
        &fixture.phoenixd.address(),
        "POST /payinvoice",
        Some(FULL),
        &format!("invoice={}", intent.bolt11),
    )
    .await;
    let again: serde_json::Value = serde_json::from_str(&again.2).unwrap();
    assert_eq!(
        (again.as_object().unwrap().len(), &again["reason"]),
        (2, &"this invoice has already been paid".into())
    );
}
