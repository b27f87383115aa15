//! The server of the monolith.

use std::net::SocketAddr;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use ed25519_dalek::{Signature, VerifyingKey};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::{NewClaim, NewResult, NewTask, Shown, signed_bytes};
use crate::Failure;

/// Connections to the database: eight a core, as advice on the internet has it.
const CONNECTIONS: u32 = 16;
/// The platform's part of a price, in percent.
const FEE_PERCENT: i64 = 5;

/// Any error is an answer with a status and a sentence.
struct Refused(StatusCode, String);

/// Serves until the process is killed.
pub(crate) async fn serve(database: &str) -> Result<(), Failure> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(database).await?;
    sqlx::raw_sql(include_str!("schema.sql")).execute(&pool).await?;
    let router = Router::new()
        .route("/tasks", post(create))
        .route("/tasks/{id}/claim", post(claim))
        .route("/tasks/{id}/result", post(submit))
        .route("/tasks/{id}/release", post(release))
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    crate::serve::announce(listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // A connection that is gone already shows itself when it is read.
        let _may_be_gone = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

async fn create(
    State(pool): State<PgPool>,
    headers: HeaderMap,
    Json(task): Json<NewTask>,
) -> Result<Json<Shown>, Refused> {
    let requester = account(&pool, &headers).await?;
    let mut tx = begin(&pool).await?;
    let held = sqlx::query(
        "UPDATE accounts SET available_msat = available_msat - $2, held_msat = held_msat + $2
         WHERE id = $1 AND available_msat >= $2",
    )
    .bind(requester)
    .bind(task.price_msat)
    .execute(&mut *tx)
    .await?;
    if held.rows_affected() == 0 {
        return Err(Refused(StatusCode::PAYMENT_REQUIRED, "insufficient funds".to_owned()));
    }
    let id: Uuid = sqlx::query_scalar(
        "INSERT INTO tasks (requester_id, title, input, pattern, price_msat) VALUES ($1, $2, $3, $4, $5)
         RETURNING id",
    )
    .bind(requester)
    .bind(&task.title)
    .bind(&task.input)
    .bind(&task.pattern)
    .bind(task.price_msat)
    .fetch_one(&mut *tx)
    .await?;
    enter(&mut tx, Some(requester), id, "hold", -task.price_msat).await?;
    tx.commit().await?;
    Ok(Json(Shown { id, state: "open".to_owned(), input: None }))
}

async fn claim(
    State(pool): State<PgPool>,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
    Json(claim): Json<NewClaim>,
) -> Result<Json<Shown>, Refused> {
    let owner = account(&pool, &headers).await?;
    let input: Option<String> = sqlx::query_scalar(
        "UPDATE tasks SET state = 'claimed', agent_id = $2, updated_at = now()
         WHERE id = $1 AND state = 'open'
           AND EXISTS (SELECT FROM agents WHERE id = $2 AND account_id = $3)
         RETURNING input",
    )
    .bind(id)
    .bind(claim.agent_id)
    .bind(owner)
    .fetch_optional(&pool)
    .await?;
    let input = input.ok_or_else(|| Refused(StatusCode::CONFLICT, "the task is not open".to_owned()))?;
    Ok(Json(Shown { id, state: "claimed".to_owned(), input: Some(input) }))
}

async fn submit(
    State(pool): State<PgPool>,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
    Json(result): Json<NewResult>,
) -> Result<Json<Shown>, Refused> {
    let owner = account(&pool, &headers).await?;
    let row: Option<(Vec<u8>, String)> = sqlx::query_as(
        "SELECT a.public_key, t.pattern FROM tasks t JOIN agents a ON a.id = t.agent_id
         WHERE t.id = $1 AND t.state = 'claimed' AND a.account_id = $2",
    )
    .bind(id)
    .bind(owner)
    .fetch_optional(&pool)
    .await?;
    let (key, pattern) =
        row.ok_or_else(|| Refused(StatusCode::CONFLICT, "the task is not claimed".to_owned()))?;
    let signature = verified(&key, id, &result)
        .ok_or_else(|| Refused(StatusCode::BAD_REQUEST, "the signature does not hold".to_owned()))?;
    // One literal prefix is all that this first version can check.
    if !result.result.starts_with(pattern.trim_start_matches('^')) {
        return Err(Refused(StatusCode::BAD_REQUEST, "the result does not match".to_owned()));
    }
    sqlx::query(
        "UPDATE tasks SET state = 'submitted', result = $2, signature = $3, updated_at = now()
         WHERE id = $1 AND state = 'claimed'",
    )
    .bind(id)
    .bind(&result.result)
    .bind(signature.to_bytes().as_slice())
    .execute(&pool)
    .await?;
    Ok(Json(Shown { id, state: "submitted".to_owned(), input: None }))
}

async fn release(
    State(pool): State<PgPool>,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
) -> Result<Json<Shown>, Refused> {
    let requester = account(&pool, &headers).await?;
    let mut tx = begin(&pool).await?;
    let row: Option<(i64, Uuid)> = sqlx::query_as(
        "UPDATE tasks t SET state = 'completed', updated_at = now() FROM agents a
         WHERE t.id = $1 AND t.requester_id = $2 AND t.state = 'submitted' AND a.id = t.agent_id
         RETURNING t.price_msat, a.account_id",
    )
    .bind(id)
    .bind(requester)
    .fetch_optional(&mut *tx)
    .await?;
    let (price, payee) =
        row.ok_or_else(|| Refused(StatusCode::CONFLICT, "nothing was submitted".to_owned()))?;
    let fee = price * FEE_PERCENT / 100;
    sqlx::query("UPDATE accounts SET held_msat = held_msat - $2 WHERE id = $1")
        .bind(requester)
        .bind(price)
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE accounts SET available_msat = available_msat + $2 WHERE id = $1")
        .bind(payee)
        .bind(price - fee)
        .execute(&mut *tx)
        .await?;
    enter(&mut tx, Some(payee), id, "release", price - fee).await?;
    // The platform has no row of its own: one hot row would slow this server down, and its entries can be summed.
    enter(&mut tx, None, id, "fee", fee).await?;
    tx.commit().await?;
    Ok(Json(Shown { id, state: "completed".to_owned(), input: None }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the monolith is written as one would without the storage crate"
)]
async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, Refused> {
    Ok(pool.begin().await?)
}

async fn enter(
    tx: &mut Transaction<'static, Postgres>,
    account: Option<Uuid>,
    task: Uuid,
    kind: &str,
    amount_msat: i64,
) -> Result<(), Refused> {
    sqlx::query(
        "INSERT INTO ledger_entries (account_id, task_id, kind, amount_msat) VALUES ($1, $2, $3, $4)",
    )
    .bind(account)
    .bind(task)
    .bind(kind)
    .bind(amount_msat)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn account(pool: &PgPool, headers: &HeaderMap) -> Result<Uuid, Refused> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
    let found: Option<Uuid> = sqlx::query_scalar("SELECT account_id FROM sessions WHERE token = $1")
        .bind(token)
        .fetch_optional(pool)
        .await?;
    found.ok_or_else(|| Refused(StatusCode::UNAUTHORIZED, "sign in first".to_owned()))
}

fn verified(key: &[u8], task: Uuid, result: &NewResult) -> Option<Signature> {
    let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    let signature = Signature::from_slice(&hex::decode(&result.signature).ok()?).ok()?;
    key.verify_strict(&signed_bytes(task, &result.result), &signature).ok()?;
    Some(signature)
}

// === impl Refused ===

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}
