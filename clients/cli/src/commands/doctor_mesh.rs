//! What the doctor asks of the mesh: as a user on the public port, as an operator on the admin ports.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use poa_sdk::api::auth::GetServerInfoResponse;
use poa_sdk::api::task::ListTasksRequest;
use poa_sdk::receipts::Checkpoint;
use poa_sdk::{
    Client, Code, Endpoint, Error, Network, Status, Timestamp, grpc_web, http_get, pinned_trust_root,
};

use super::doctor::{DoctorArgs, Report};
use super::doctor_money;
use crate::app::App;
use crate::trust::covers;

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an admin port may take.
const ADMIN_PATIENCE: Duration = Duration::from_secs(3);
/// Clocks this far apart make tokens and deadlines unreliable, in seconds.
const CLOCK_WARNING_SECONDS: i64 = 5;
/// Clocks this far apart make calls fail, in seconds.
const CLOCK_PROBLEM_SECONDS: i64 = 60;
/// A session that ends within so many days is worth a word.
const SESSION_WARNING_DAYS: i64 = 2;
/// The admin ports where nothing else was said, and whose they are where each server is a process of its own.
const ADMIN_PORTS: [(u16, &str); 6] = [
    (9100, "gateway"),
    (9101, "auth"),
    (9102, "task"),
    (9103, "escrow"),
    (9104, "attestation"),
    (9105, "search"),
];

/// Who keeps the ledger.
const LEDGER: &str = "escrow";

/// Whether the mesh can be reached, and how.
pub(super) async fn reach(app: &App, report: &mut Report) -> Option<GetServerInfoResponse> {
    let (endpoint, client) = match app.endpoint().and_then(|uri| Ok((app.dial(uri)?, app.client()?))) {
        Ok(found) => found,
        Err(failure) => {
            report.problem("endpoint", failure.message(), "say where the mesh is with --endpoint URL");
            return None;
        }
    };
    let uri = endpoint.uri().to_owned();
    let info = match within(client.server_info()).await {
        Ok(info) => info,
        Err(error) => {
            let advice = if endpoint.is_this_machine() {
                "start it with `make run`, or say where the mesh is with --endpoint URL"
            } else {
                "is the address right, and does a firewall or proxy let HTTP/2 through?"
            };
            report.problem("endpoint", format!("{uri} does not answer: {error}"), advice);
            return None;
        }
    };
    report.ok("endpoint", format!("{uri} answers gRPC"));
    encryption(&client, &endpoint, report);
    match grpc_web(endpoint, PATIENCE).await {
        Ok(answer) if answer.status == 200 && answer.content_type.starts_with("application/grpc-web") => {
            report.ok("grpc-web", "answers too: web pages can call");
            clock(answer.date, &client, report);
        }
        Ok(answer) => report.warning(
            "grpc-web",
            format!("answers with HTTP {} and `{}`", answer.status, answer.content_type),
            "a proxy in between does not let grpc-web through: web pages cannot call",
        ),
        Err(error) => {
            report.warning("grpc-web", format!("does not answer: {error}"), "web pages cannot call");
        }
    }
    Some(info)
}

fn encryption(client: &Client, endpoint: &Endpoint, report: &mut Report) {
    if endpoint.uri().starts_with("https://") {
        report.ok("transport", "encrypted, and the certificate is a known authority's");
    } else if endpoint.is_this_machine() {
        report.ok("transport", "clear text, to this machine alone");
    } else if client.check_secrets().is_ok() {
        report.warning(
            "transport",
            "clear text to another machine, because --insecure says so",
            "whoever is on the way reads passwords and tokens: use https, or a tunnel",
        );
    } else {
        report.problem(
            "transport",
            "clear text to another machine: passwords and tokens are not sent there",
            "use https, or --insecure where the network between is your own",
        );
    }
}

fn clock(date: Option<Timestamp>, client: &Client, report: &mut Report) {
    let Some(date) = date else {
        report.skipped("clock", "the server does not tell its time");
        return;
    };
    let ahead = (client.env().now() - date).whole_seconds();
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    let message = format!("this machine's clock is {} s {way} the server's", ahead.abs());
    let advice = "let both follow a time server (timedatectl, chrony)";
    match ahead.abs() {
        CLOCK_PROBLEM_SECONDS.. => report.problem("clock", message, advice),
        CLOCK_WARNING_SECONDS.. => report.warning("clock", message, advice),
        _ => report.ok("clock", format!("within {CLOCK_WARNING_SECONDS} s of the server's")),
    }
}

/// Who the server is: version, network, keys, and whether its log is signed by them.
pub(super) async fn identity(app: &App, info: &GetServerInfoResponse, report: &mut Report) {
    let ours = env!("CARGO_PKG_VERSION");
    if info.server_version == ours {
        report.ok("version", format!("{ours}, as this command"));
    } else {
        let message = format!("the server is {}, this command {ours}", info.server_version);
        report.warning("version", message, "take the same version of both");
    }
    let shown = match pinned_trust_root(info) {
        Ok(shown) => shown,
        Err(error) => {
            let advice = "tell the operator: trust-root.json of the servers";
            report.problem("keys", format!("the server shows unusable keys: {error}"), advice);
            return;
        }
    };
    let network = shown.network();
    let worth =
        if network == Network::Simulated { "its sats are worth nothing" } else { "its sats are money" };
    report.ok("network", format!("{network}: {worth}"));
    let believed = match app.trust_root(None) {
        Ok(known) if covers(&known, &shown) => {
            report.ok("keys", format!("those that this profile has pinned ({})", known.digest()));
            known
        }
        Ok(known) => {
            let message = format!("other keys than the pinned ones ({})", known.digest());
            let advice =
                "do not sign in unless you know why; a new server wants a new profile (--profile NAME)";
            report.problem("keys", message, advice);
            known
        }
        Err(_none_is_pinned) => {
            report.skipped("keys", "none are pinned yet: `poa register` or `poa login` does");
            shown
        }
    };
    let Ok(client) = app.client() else { return };
    match within(client.checkpoint()).await {
        Ok(note) => match Checkpoint::open(&note, believed.log_keys()) {
            Ok(checkpoint) => {
                report.ok("log", format!("its checkpoint of size {} verifies", checkpoint.size));
            }
            Err(error) => {
                let advice = "do not trust receipts of this server; tell the operator";
                report.problem("log", format!("its checkpoint does not verify: {error}"), advice);
            }
        },
        Err(error) => down("log", "attestation", &error, report),
    }
}

/// Whether somebody is signed in, and whether the services behind answer.
pub(super) async fn account(app: &App, report: &mut Report) {
    let session = match app.session() {
        Ok(session) => session,
        Err(failure) => {
            report.skipped("account", format!("{}: `poa login`", failure.message()));
            return;
        }
    };
    match within(session.account()).await {
        Ok(account) => report.ok("account", format!("signed in as {}", account.username)),
        Err(error) if matches!(error.code(), Some(Code::Unavailable | Code::DeadlineExceeded)) => {
            return down("account", "auth", &error, report);
        }
        Err(error) => {
            report.problem("account", format!("the server does not accept it: {error}"), "run `poa login`");
            return;
        }
    }
    if let Ok(Some(kept)) = app.profile.signed_in() {
        let left = kept.tokens.refresh_expire_time() - session.client().env().now();
        let message = format!("ends in {} days unless it is used", left.whole_days());
        if left.whole_days() < SESSION_WARNING_DAYS {
            report.warning("session", message, "any command renews it; after its end: `poa login`");
        } else {
            report.ok("session", message);
        }
    }
    match within(session.balance()).await {
        Ok(_) => report.ok("escrow", "answers"),
        Err(error) => down("escrow", "escrow", &error, report),
    }
    let request = ListTasksRequest { page_size: 1, ..ListTasksRequest::default() };
    match within(session.list_tasks(request)).await {
        Ok(_) => report.ok("task", "answers"),
        Err(error) => down("task", "task", &error, report),
    }
}

fn down(check: &'static str, service: &str, error: &Error, report: &mut Report) {
    let advice = match error.code() {
        Some(Code::Unavailable | Code::DeadlineExceeded) => {
            format!("is the {service} server running? The operator sees why on its admin port")
        }
        _ => "see the server's log".to_owned(),
    };
    report.problem(check, format!("the {service} service does not answer: {error}"), advice);
}

/// The admin ports: who is ready, and is the ledger clean.
pub(super) async fn operators(app: &App, args: &DoctorArgs, data: Option<&Path>, report: &mut Report) {
    let local = app.endpoint().is_ok_and(|uri| uri == Endpoint::LOCAL);
    let asked: Vec<(String, String)> = if !args.admin_endpoint.is_empty() {
        args.admin_endpoint.iter().map(|uri| (uri.clone(), uri.clone())).collect()
    } else if local {
        let of = |(port, name): &(u16, &str)| ((*name).to_owned(), format!("http://localhost:{port}"));
        ADMIN_PORTS.iter().map(of).collect()
    } else {
        report.skipped("ready", "not asked: say where the admin ports are with --admin-endpoint URL");
        return;
    };
    let answers = join_all(asked.into_iter().map(async |(name, uri)| {
        let answer = match app.dial(uri.clone()) {
            Ok(endpoint) => {
                http_get(endpoint, "/readyz", ADMIN_PATIENCE).await.map_err(|error| error.to_string())
            }
            Err(failure) => Err(failure.message().to_owned()),
        };
        (name, uri, answer)
    }))
    .await;
    // One process has one admin port, and the others stay silent.
    let alone =
        args.admin_endpoint.is_empty() && answers.iter().skip(1).all(|(_, _, answer)| answer.is_err());
    let mut open = Vec::new();
    for (name, uri, answer) in answers.iter().take(if alone { 1 } else { answers.len() }) {
        let shown = if alone { "the mesh" } else { name };
        match answer {
            Ok(answer) => {
                // The token of the operator is for the ledger's server alone, where it is known which that is.
                if alone || name == LEDGER || !args.admin_endpoint.is_empty() {
                    open.push(uri.clone());
                }
                readiness(shown, answer.status, &answer.body, report);
            }
            Err(error) => {
                let message = format!("{shown}: nobody answers at {uri}: {error}");
                report.problem("ready", message, "start it, or say where its admin port is");
            }
        }
    }
    doctor_money::ledger(app, args, data, &open, report).await;
}

fn readiness(name: &str, status: u16, body: &[u8], report: &mut Report) {
    let said = String::from_utf8_lossy(body);
    let said = said.trim();
    if status == 200 {
        return report.ok("ready", format!("{name} is ready"));
    }
    if said.contains("standby") {
        let advice = "so it should, if another replica serves";
        return report.warning("ready", format!("{name} stands by for another replica"), advice);
    }
    let advice = match () {
        () if said.contains("database") => "is its PostgreSQL up, and is POA__DATABASE__URL right?",
        () if said.contains("upstreams") => "one of the services behind it does not answer",
        () if said.contains("start") => "it is still starting: see its log",
        () => "see its log",
    };
    report.problem("ready", format!("{name} is not ready: {said}"), advice);
}

/// An answer, or the error that it took too long.
async fn within<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer,
        Err(_elapsed) => {
            let late = format!("no answer within {} s", PATIENCE.as_secs());
            Err(Status::deadline_exceeded(late).into())
        }
    }
}
