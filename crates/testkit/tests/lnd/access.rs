//! Whom the client trusts, and what it is trusted with.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use poa_payment::lnd::{LndNode, MacaroonFiles, OpenError, Options, Role, Trouble};
use poa_payment::{Doubt, Error, NodeId, Outcome, Payer, PaymentHash, Provider};
use poa_testkit::LndCertificate;

use crate::support::Fixture;

/// Why there was no answer.
fn trouble<T>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::NoAnswer(Some(source))) => source.downcast::<Trouble>().unwrap().to_string(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("an answer"),
    }
}

#[tokio::test]
async fn a_self_signed_certificate_that_calls_itself_an_authority_is_taken_when_it_is_the_pinned_one() {
    let fixture = Fixture::new(1).await;
    assert!(fixture.node.info().await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_an_authority_signed_is_pinned_in_the_same_way() {
    let fixture = Fixture::new(2).await;
    fixture.lnd.renew_certificate(LndCertificate::SignedByAuthority);
    fixture.lnd.publish_certificate();
    assert!(fixture.node.info().await.is_ok());
}

#[tokio::test]
async fn another_certificate_is_refused_until_its_file_is_there() {
    let fixture = Fixture::new(3).await;
    let before = fixture.node.info().await.unwrap();
    fixture.lnd.renew_certificate(LndCertificate::SelfSigned);
    // The connection that was cut may be what the first call finds.
    let _cut = fixture.node.info().await;
    assert_eq!(
        trouble(fixture.node.info().await),
        "lnd's certificate is not the one in the tls_cert file, or the file cannot be read"
    );
    let called = fixture.lnd.calls("GetInfo");
    fixture.lnd.publish_certificate();
    assert_eq!(fixture.node.info().await.unwrap(), before);
    // Whoever showed the other certificate was told nothing, no macaroon in particular.
    assert_eq!(fixture.lnd.calls("GetInfo"), called + 1);
}

#[tokio::test]
async fn a_macaroon_that_the_node_does_not_know_is_told_from_one_that_does_not_allow_the_call() {
    let fixture = Fixture::new(4).await;
    let options = fixture.lnd.options();
    let node = |files: MacaroonFiles| {
        LndNode::open(&Options { macaroons: files, ..options.clone() }, fixture.env.clone()).unwrap()
    };
    let other = Fixture::new(5).await.lnd.bake("other", Role::Reconciliation.permissions());
    // The folder of the other node is gone with it: its macaroon is written anew.
    assert!(!other.exists());
    let foreign = options.tls_cert.with_file_name("foreign.macaroon");
    fs::write(&foreign, [&[2][..], &[9; 32][..]].concat()).unwrap();
    let short = options.tls_cert.with_file_name("short.macaroon");
    fs::write(&short, [2, 1]).unwrap();
    let weak = fixture.lnd.bake("weak", &["uri:/lnrpc.Lightning/GetInfo"]);

    let refused = "lnd does not know the macaroon: is it this node's, and one that was not revoked?";
    for file in [foreign, short] {
        let (node, payer) =
            node(MacaroonFiles { reconciliation: file.clone(), payouts: file, ..options.macaroons.clone() });
        assert_eq!(trouble(node.info().await), refused);
        assert!(matches!(node.ready(crate::support::PATIENCE).await, Err(Trouble::MacaroonRefused)));
        assert_eq!(payer.pay(fixture.intent()).await, Outcome::Unknown(Doubt::NoAnswer));
    }
    let (node, _) = node(MacaroonFiles { reconciliation: weak, ..options.macaroons.clone() });
    assert!(node.info().await.is_ok());
    assert_eq!(
        trouble(node.balance().await),
        "the macaroon does not allow this: bake it anew with the permissions of its role"
    );
    assert_eq!(node.lookup_payment(PaymentHash::new([1; 32])).await, Outcome::Unknown(Doubt::NoAnswer));
}

#[tokio::test]
async fn no_role_can_delete_and_only_payouts_can_send() {
    for role in Role::ALL {
        assert!(role.permissions().iter().all(|uri| uri.starts_with("uri:/") && !uri.contains("Delete")));
        let sends = role.permissions().iter().any(|uri| uri.contains("Send"));
        assert_eq!(sends, role == Role::Payouts, "{}", role.as_str());
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_when_the_node_is_opened() {
    let fixture = Fixture::new(6).await;
    let good = fixture.lnd.options();
    let open = |options: Options| LndNode::open(&options, fixture.env.clone()).map(|_| ()).unwrap_err();
    let missing = good.tls_cert.with_file_name("missing");
    let garbage = good.tls_cert.with_file_name("garbage");
    fs::write(&garbage, "0201036c6e64").unwrap();
    for path in [missing, garbage] {
        let error = open(Options { tls_cert: path.clone(), ..good.clone() });
        assert!(matches!(&error, OpenError::File { path: named, .. } if *named == path), "{error:?}");
        let macaroons = MacaroonFiles { payouts: path.clone(), ..good.macaroons.clone() };
        let error = open(Options { macaroons, ..good.clone() });
        assert!(matches!(&error, OpenError::File { path: named, .. } if *named == path), "{error:?}");
    }
    for endpoint in ["http://127.0.0.1:10009", "127.0.0.1:10009", "", "https://"] {
        let error = open(Options { endpoint: endpoint.to_owned(), ..good.clone() });
        assert!(matches!(error, OpenError::Endpoint { .. }), "{endpoint}: {error:?}");
    }
}

#[tokio::test]
async fn a_macaroon_that_others_can_read_is_taken() {
    let fixture = Fixture::new(7).await;
    let options = fixture.lnd.options();
    // As lncli writes it.
    fs::set_permissions(&options.macaroons.reconciliation, fs::Permissions::from_mode(0o644)).unwrap();
    let (node, _) = fixture.lnd.open();
    assert!(node.info().await.is_ok());
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let fixture = Fixture::new(8).await;
    let secret = hex::encode(fs::read(fixture.lnd.options().macaroons.payouts).unwrap());
    let printed = format!("{:?} {:?} {:?}", fixture.node, fixture.payer, fixture.lnd.options());
    assert!(!printed.contains(&secret), "{printed}");
    let id: NodeId = fixture.node.info().await.unwrap().node;
    assert_ne!(id, NodeId::new([0; 33]));
}
