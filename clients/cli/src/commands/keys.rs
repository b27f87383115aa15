//! `keys`: API keys for programs.

use clap::{Args, Subcommand};
use poa_sdk::api::Timestamp;
use poa_sdk::api::auth::{ApiKey, CreateApiKeyRequest, ListApiKeysRequest};
use poa_sdk::system_env;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{fields, one_line};
use crate::paging;
use crate::units::Span;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key. Its secret is shown once.
    Create(CreateArgs),
    /// List your keys.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Revoke a key.
    Revoke {
        /// `key_…`.
        api_key_id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What you call it.
    name: String,
    /// What it may do, such as tasks.read, tasks.write, work.write, money.read; may be given several times.
    #[arg(long = "scope", required = true, value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The one agent that it may act as.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    agent: String,
    /// When it ends [default: in a year, which is the most].
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<Span>,
}

pub(crate) async fn run(app: &App, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Create(args) => create(app, args).await,
        KeysCommand::List { limit } => list(app, limit).await,
        KeysCommand::Revoke { api_key_id } => {
            let key = app.session()?.revoke_api_key(&api_key_id).await?;
            app.out.show(&key, || format!("Revoked {}: its tokens end within 10 minutes.", key.api_key_id))
        }
    }
}

async fn create(app: &App, args: CreateArgs) -> Result<(), Failure> {
    let expire_time = args.expires_in.map(|span| {
        let end = system_env().now() + span.0;
        Timestamp { seconds: end.unix_timestamp(), nanos: 0 }
    });
    let request = CreateApiKeyRequest {
        request_id: String::new(),
        name: args.name,
        scopes: args.scopes,
        agent_id: args.agent,
        expire_time,
    };
    let made = app.session()?.create_api_key(request).await?;
    app.out.show(&made, || {
        let key = made.api_key.clone().unwrap_or_default();
        format!("{}\n\nsecret  {}\n\nIt is not shown again. Keep it in a file and use it with --api-key-file FILE.", describe(&key), made.secret)
    })
}

async fn list(app: &App, limit: usize) -> Result<(), Failure> {
    let session = app.session()?;
    let keys = paging::collect(limit, |page_size, page_token| {
        let session = session.clone();
        async move {
            let page = session.list_api_keys(ListApiKeysRequest { page_size, page_token }).await?;
            Ok((page.api_keys, page.next_page_token))
        }
    })
    .await?;
    for key in &keys {
        app.out.show(key, || {
            let state = if key.revoke_time.is_some() { "revoked" } else { "works" };
            format!("{}  {state:<8} {}  [{}]", key.api_key_id, one_line(&key.name), key.scopes.join(" "))
        })?;
    }
    if keys.is_empty() {
        app.out.progress("No keys. Make one: `poa keys create NAME --scope tasks.read`.");
    }
    Ok(())
}

fn describe(key: &ApiKey) -> String {
    fields(&[
        ("key", key.api_key_id.clone()),
        ("name", one_line(&key.name)),
        ("scopes", key.scopes.join(" ")),
        ("agent", if key.agent_id.is_empty() { "all of yours".to_owned() } else { key.agent_id.clone() }),
        ("ends", crate::describe::time(key.expire_time.as_ref())),
    ])
}
