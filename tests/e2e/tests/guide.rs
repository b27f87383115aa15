//! The script of docs/guides/grpcurl.md, run as it stands, where grpcurl and jq are there.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use poa_e2e::Deployment;
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
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/grpcurl.md");
    let script = script(&std::fs::read_to_string(page).expect("the guide"));
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
    let poa = binary("poa");
    let folders = [poa.parent().expect("a folder").to_owned()].into_iter();
    let path =
        std::env::join_paths(folders.chain(std::env::split_paths(env_path().as_str()))).expect("a PATH");
    let run = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("POA_HOST", format!("localhost:{}", mesh.port()))
        .env("POA_ENDPOINT", mesh.endpoint())
        .env("POA_HOME", home.path())
        .env("PATH", path)
        .current_dir(home.path())
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
