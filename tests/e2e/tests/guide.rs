//! The scripts of docs/guides, run as they stand: hold-invoice.md, and where grpcurl and jq are there grpcurl.md.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use poa_e2e::{Deployment, Poa};
use poa_testkit::binary;

/// Every `sh` block of a page, in order.
fn script(page: &str) -> String {
    let blocks = page.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.collect::<Vec<_>>().join("\n")
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grpcurl_guide_runs_as_it_stands() {
    let script = script_of("grpcurl.md");
    assert!(script.contains("grpcurl"), "the guide has no script");
    if let Some(missing) = ["grpcurl", "jq"].into_iter().find(|program| !installed(program)) {
        // Past the test runner's capture: a skip that nobody sees looks like a pass.
        let mut loud = std::io::stderr();
        writeln!(loud, "SKIPPED: {missing} is not installed, the guide's script was not run")
            .expect("standard error");
        return;
    }
    let mesh = Deployment::single().await;
    let home = tempfile::tempdir().expect("a home");
    run(
        &script,
        home.path(),
        &[("POA_HOST", format!("localhost:{}", mesh.port())), ("POA_ENDPOINT", mesh.endpoint())],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_to_hold_invoices_runs_as_it_stands() {
    let script = script_of("hold-invoice.md");
    assert!(script.contains("--funding hold-invoice"), "the guide has no script");
    let mesh = Deployment::single().await;
    let bob = Poa::new(&mesh.endpoint()).register("bob");
    let _daemon = bob.counter().await;
    let home = tempfile::tempdir().expect("a home");
    let password = home.path().join("password");
    std::fs::write(&password, "correct horse battery staple").expect("a password file");
    let variables =
        [("POA_ENDPOINT", mesh.endpoint()), ("POA_PASSWORD_FILE", password.to_string_lossy().into_owned())];
    run(&script, home.path(), &variables);
}

/// The script of a guide.
fn script_of(guide: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides").join(guide);
    script(&std::fs::read_to_string(page).expect("the guide"))
}

/// Runs a script as somebody who has pasted it, with the `poa` that was built in front of the PATH.
fn run(script: &str, home: &Path, variables: &[(&str, String)]) {
    let poa = binary("poa");
    let folders = [poa.parent().expect("a folder").to_owned()].into_iter();
    let path =
        std::env::join_paths(folders.chain(std::env::split_paths(env_path().as_str()))).expect("a PATH");
    let run = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env("POA_HOME", home)
        .env("PATH", path)
        .current_dir(home)
        .output()
        .expect("bash starts");
    assert!(
        run.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
}

#[expect(clippy::disallowed_methods, reason = "the script needs the caller's PATH with ours in front")]
fn env_path() -> String {
    std::env::var("PATH").unwrap_or_default()
}
