//! `poa doctor`: a mesh that is well, one with a server stopped, and none.

use poa_e2e::{Deployment, Poa};
use serde_json::Value;

/// Runs the doctor over every admin port; answers with its exit code and its report.
fn examined(mesh: &Deployment, admins: &str, person: &Poa) -> (i32, Value) {
    let data = data_folder(mesh);
    let token = mesh.admin_token_file();
    let token = token.to_str().expect("a path");
    let words = ["doctor", "--json", "--data-dir", &data, "--admin-endpoint", admins, "--token-file", token];
    report(person, &words)
}

fn data_folder(mesh: &Deployment) -> String {
    let keys = mesh.keys_folder();
    keys.parent().and_then(std::path::Path::to_str).expect("a path").to_owned()
}

fn report(person: &Poa, words: &[&str]) -> (i32, Value) {
    let run = person.run(words);
    let report = serde_json::from_str(run.out.trim());
    (run.code, report.unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err)))
}

/// The checks of a report with this status.
fn with_status<'a>(report: &'a Value, status: &str) -> Vec<&'a str> {
    let checks = report["checks"].as_array().expect("checks").iter();
    checks.filter(|check| check["status"] == status).filter_map(|check| check["check"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_a_mesh_well_and_then_the_server_that_was_stopped() {
    let mut mesh = Deployment::separate().await;
    let admins: Vec<String> =
        mesh.names().iter().filter_map(|name| mesh.endpoints_of(name)).map(|(_, admin)| admin).collect();
    assert!(admins.len() >= 5, "{admins:?}");
    let alice = Poa::new(&mesh.endpoint()).register("alice");

    let (code, well) = examined(&mesh, &admins.join(","), &alice);
    assert_eq!(with_status(&well, "problem"), [""; 0], "{well:#}");
    assert_eq!(code, 0, "{well:#}");
    for check in [
        "endpoint",
        "grpc-web",
        "clock",
        "keys",
        "log",
        "account",
        "escrow",
        "task",
        "ledger",
        "reconciliation",
        "lightning",
        "hold invoices",
        "payouts",
        "key files",
    ] {
        assert!(with_status(&well, "ok").contains(&check), "{check} is not ok: {well:#}");
    }
    let ready = with_status(&well, "ok").iter().filter(|check| **check == "ready").count();
    assert_eq!(ready, admins.len(), "{well:#}");
    let (folder, all) = (data_folder(&mesh), admins.join(","));
    let words = ["doctor", "--json", "--data-dir", &folder, "--admin-endpoint", &all];
    let (_, unasked) = report(&alice, &words);
    assert!(with_status(&unasked, "skipped").contains(&"ledger"), "a token is not sent unasked: {unasked:#}");

    assert_eq!(mesh.terminate("escrow").await, Some(0));
    let (code, ill) = examined(&mesh, &admins.join(","), &alice);
    assert_eq!((code, &ill["status"]), (1, &Value::from("problem")), "{ill:#}");
    let problems = with_status(&ill, "problem");
    assert!(problems.contains(&"escrow") && problems.contains(&"ready"), "{ill:#}");
    for check in ["endpoint", "log", "account", "task"] {
        assert!(with_status(&ill, "ok").contains(&check), "{check} is not ok: {ill:#}");
    }
}

#[test]
fn where_there_is_no_mesh_the_doctor_says_what_to_do() {
    let nobody = Poa::new("http://127.0.0.1:9");
    let (code, report) = report(&nobody, &["doctor", "--json"]);
    assert_eq!(code, 1);
    assert_eq!(with_status(&report, "problem"), ["endpoint"], "{report:#}");
    let endpoint = &report["checks"][0];
    assert!(endpoint["advice"].as_str().is_some_and(|advice| advice.contains("make run")), "{endpoint}");
    let text = nobody.run(&["doctor"]);
    assert!(text.out.contains("problem") && text.err.contains("1 problem"), "{}{}", text.out, text.err);
}
