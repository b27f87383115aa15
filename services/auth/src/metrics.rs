//! Every metric of the auth service.

use std::time::Duration;

use metrics::Unit;

/// Sign-ins; label `outcome`: `ok`, `failed`, `limited`.
const SIGN_INS: &str = "poa_auth_sign_ins_total";
/// Seconds that one password hash took, without its wait.
const HASH_SECONDS: &str = "poa_auth_password_hash_seconds";
/// Password hashes being computed now.
const HASHES_RUNNING: &str = "poa_auth_password_hashes_running";
/// Requests refused because too many passwords waited.
const HASHES_REFUSED: &str = "poa_auth_password_hashes_refused_total";
/// Sessions revoked because a spent refresh token came back.
const REUSES: &str = "poa_auth_refresh_reuses_total";
/// Access tokens made; label `source`: `session`, `api_key`.
const TOKENS: &str = "poa_auth_access_tokens_total";
/// Rows removed by the sweep; label `table`.
const SWEPT: &str = "poa_auth_swept_rows_total";

pub(crate) fn describe() {
    metrics::describe_counter!(SIGN_INS, "Sign-ins by outcome");
    metrics::describe_histogram!(HASH_SECONDS, Unit::Seconds, "Time of one password hash, without its wait");
    metrics::describe_gauge!(HASHES_RUNNING, "Password hashes being computed now");
    metrics::describe_counter!(HASHES_REFUSED, "Requests refused because too many passwords waited");
    metrics::describe_counter!(REUSES, "Sessions revoked because a spent refresh token came back");
    metrics::describe_counter!(TOKENS, "Access tokens made, by source");
    metrics::describe_counter!(SWEPT, "Rows removed by the sweep, by table");
}

pub(crate) fn signed_in(ok: bool) {
    metrics::counter!(SIGN_INS, "outcome" => if ok { "ok" } else { "failed" }).increment(1);
}

pub(crate) fn sign_in_limited() {
    metrics::counter!(SIGN_INS, "outcome" => "limited").increment(1);
}

pub(crate) fn hash_began() {
    metrics::gauge!(HASHES_RUNNING).increment(1);
}

pub(crate) fn hash_ended(took: Duration) {
    metrics::gauge!(HASHES_RUNNING).decrement(1);
    metrics::histogram!(HASH_SECONDS).record(took);
}

pub(crate) fn hash_refused() {
    metrics::counter!(HASHES_REFUSED).increment(1);
}

pub(crate) fn refresh_reused() {
    metrics::counter!(REUSES).increment(1);
}

pub(crate) fn token_made(source: &'static str) {
    metrics::counter!(TOKENS, "source" => source).increment(1);
}

pub(crate) fn swept(table: &'static str, rows: u64) {
    metrics::counter!(SWEPT, "table" => table).increment(rows);
}
