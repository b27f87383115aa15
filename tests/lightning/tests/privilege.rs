//! Least privilege: what each of the three macaroons can do, of all that the node can.

mod raw;

use poa_lightning::LndWorld;
use poa_payment::lnd::Role;

use self::raw::{Answer, Raw};

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn each_macaroon_allows_its_calls_and_none_else_of_all_that_the_node_has() {
    let world = LndWorld::new().await;
    let a = world.network.a();
    let listed = a.lncli(&["listpermissions"]).await.unwrap();
    let methods: Vec<&String> = listed["method_permissions"].as_object().unwrap().keys().collect();
    assert!(methods.len() > 100, "the node lists {} methods", methods.len());
    let macaroons = world.network.options().await.macaroons;
    for role in Role::ALL {
        let file = match role {
            Role::Invoices => &macaroons.invoices,
            Role::Payouts => &macaroons.payouts,
            Role::Reconciliation => &macaroons.reconciliation,
        };
        let raw = Raw::connect(&a.rpc, &std::fs::read(file).unwrap()).await;
        let granted: Vec<&str> =
            role.permissions().iter().map(|permission| permission.strip_prefix("uri:").unwrap()).collect();
        for method in &methods {
            let allowed = raw.call(method).await == Answer::Allowed;
            let expected = granted.contains(&method.as_str());
            assert_eq!(allowed, expected, "{} and {method}", role.as_str());
        }
        for method in granted {
            assert!(methods.iter().any(|listed| *listed == method), "the node has no {method}");
        }
    }
}
