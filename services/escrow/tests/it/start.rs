//! Building the service from its configuration alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use poa_chassis::client::Peers;
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::{Deps, Lifecycle, Readiness};
use poa_escrow::Config;
use poa_escrow::config::HoldConfig;
use poa_storage::DatabaseConfig;

#[tokio::test]
async fn the_service_opens_its_node_makes_its_tables_and_says_when_it_is_ready() {
    let (env, _clock) = poa_testkit::env(1);
    let folder = tempfile::tempdir().unwrap();
    keyring::provision(folder.path(), &["escrow"], &env).unwrap();
    let mut config = Config {
        database: DatabaseConfig::new(poa_testkit::fresh_database("escrow").await),
        ..Config::default()
    };
    config.lightning.data_dir = folder.path().join("made/by/the/service");
    // Nobody to state what is owed to.
    config.liabilities.every_seconds = 0;
    let keyring = Arc::new(Keyring::open(folder.path(), "escrow", "here", &env).unwrap());
    let deps = || Deps {
        env: env.clone(),
        peers: Peers::new(BTreeMap::new(), Arc::clone(&keyring)),
        keyring: Arc::clone(&keyring),
        lifecycle: Lifecycle::default(),
        readiness: Readiness::default(),
    };
    let first = deps();
    let app = poa_escrow::build(config.clone(), first.clone()).await.unwrap();
    assert_eq!(app.name, "escrow");
    assert!(app.services.contains(&"poa.escrow.v1.FaucetService") && app.admin.is_some());
    assert!(first.readiness.missing().is_empty());

    // One node, one process: a second one is told so.
    let refused = poa_escrow::build(config.clone(), deps()).await.unwrap_err();
    assert!(refused.to_string().contains("in use"), "{refused}");
    drop(app);
    assert_eq!(first.readiness.missing(), Vec::<&str>::new(), "workers keep it ready");
    first.lifecycle.stop(std::time::Duration::from_secs(10)).await;
    assert_eq!(first.readiness.missing(), ["database", "lightning"]);
}

/// Why a start with such a configuration is refused.
async fn refused(change: impl FnOnce(&mut Config)) -> String {
    let (env, _clock) = poa_testkit::env(1);
    let folder = tempfile::tempdir().unwrap();
    keyring::provision(folder.path(), &["escrow"], &env).unwrap();
    let mut config = Config {
        database: DatabaseConfig::new(poa_testkit::fresh_database("escrow").await),
        ..Config::default()
    };
    config.lightning.data_dir = folder.path().join("node");
    change(&mut config);
    let keyring = Arc::new(Keyring::open(folder.path(), "escrow", "here", &env).unwrap());
    let deps = Deps {
        env: env.clone(),
        peers: Peers::new(BTreeMap::new(), Arc::clone(&keyring)),
        keyring,
        lifecycle: Lifecycle::default(),
        readiness: Readiness::default(),
    };
    let refused = poa_escrow::build(config, deps.clone()).await.unwrap_err().to_string();
    deps.lifecycle.stop(std::time::Duration::from_secs(10)).await;
    refused
}

#[tokio::test]
async fn a_setting_out_of_its_bounds_is_refused_by_its_name() {
    let below = refused(|config| config.withdrawals.max_msat_per_day = -1).await;
    assert!(below.contains("withdrawals.max_msat_per_day"), "{below}");
    let alone = refused(|config| config.egress.simulated_roots = Some("roots.pem".into())).await;
    assert!(alone.contains("egress.simulated_server"), "{alone}");
    let missing = refused(|config| {
        config.egress.simulated_server = Some(([127, 0, 0, 1], 1).into());
        config.egress.simulated_roots = Some("/nowhere/roots.pem".into());
    })
    .await;
    assert!(!missing.is_empty());
}

#[test]
fn the_configuration_is_read_back_as_it_is_printed_and_refuses_what_it_does_not_know() {
    let printed = poa_chassis::config::print(&Config::default()).unwrap();
    assert!(
        printed.contains("fee_basis_points = 500") && printed.contains("provider = \"simulated\""),
        "{printed}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("escrow.toml");
    for (text, sound) in [
        ("fee_basis_points = 250", true),
        ("fee_basis_points = 10001", false),
        ("fee = 1", false),
        ("[lightning]\nprovider = \"paper\"", false),
        ("[holds]\nmin_msat = 1000", true),
        ("[holds]\nmin = 1000", false),
    ] {
        std::fs::write(&file, text).unwrap();
        let loaded = poa_chassis::config::load(&Config::default(), Some(&file));
        assert_eq!(loaded.is_ok(), sound, "{text}");
    }
}

#[tokio::test]
async fn what_cannot_work_of_hold_invoices_is_refused_at_the_start_with_the_name_of_the_setting() {
    let (env, _clock) = poa_testkit::env(1);
    let folder = tempfile::tempdir().unwrap();
    keyring::provision(folder.path(), &["escrow"], &env).unwrap();
    let keyring = Arc::new(Keyring::open(folder.path(), "escrow", "here", &env).unwrap());
    let deps = || Deps {
        env: env.clone(),
        peers: Peers::new(BTreeMap::new(), Arc::clone(&keyring)),
        keyring: Arc::clone(&keyring),
        lifecycle: Lifecycle::default(),
        readiness: Readiness::default(),
    };
    let mut config = Config {
        database: DatabaseConfig::new(poa_testkit::fresh_database("escrow").await),
        ..Config::default()
    };
    config.lightning.data_dir = folder.path().to_owned();
    type Change = fn(&mut HoldConfig);
    let cases: [(Change, &str); 6] = [
        (|holds| holds.invoice_expiry_seconds = 601, "holds.invoice_expiry_seconds"),
        (|holds| holds.invoice_expiry_seconds = 0, "holds.invoice_expiry_seconds"),
        (|holds| holds.min_msat = 0, "holds.min_msat"),
        (|holds| holds.max_msat_per_payer = 1, "holds.max_msat_per_payer"),
        (|holds| holds.max_parts_per_payer = 0, "holds.max_parts_per_payer"),
        (|holds| holds.max_parts_total = 1, "holds.max_parts_total"),
    ];
    for (change, named) in cases {
        let mut config = config.clone();
        change(&mut config.holds);
        let refused = poa_escrow::build(config, deps()).await.unwrap_err();
        assert!(refused.to_string().contains(named), "{refused}");
    }
    // A node that makes hold invoices needs the secret of their preimages.
    std::fs::remove_file(folder.path().join("preimages.secret")).unwrap();
    let refused = poa_escrow::build(config, deps()).await.unwrap_err();
    assert!(refused.to_string().contains("preimages.secret"), "{refused}");
}
