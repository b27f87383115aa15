//! `register`, `login`, `logout`, `whoami`, `info`.

use std::path::PathBuf;

use clap::Args;
use poa_sdk::api::auth::RegisterRequest;
use poa_sdk::receipts::TrustRoot;
use poa_sdk::{Network, SignedIn};

use crate::app::App;
use crate::failure::Failure;
use crate::output::{fields, one_line};
use crate::profile::SignedInFile;
use crate::units::{bytes, sats};
use crate::{prompt, trust};

/// How a password and the server's keys come in.
#[derive(Debug, Args)]
pub(crate) struct SignInOptions {
    /// The file with the password; `-` is standard input. Asked for without echo where absent.
    #[arg(long, env = "POA_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The keys to believe. Where absent, the server's are pinned at the first sign-in.
    #[arg(long, value_name = "FILE")]
    trust_root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// 3 to 32 of a-z, 0-9, `-` and `_`.
    username: String,
    /// The name to show [default: the user name].
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    display_name: String,
    #[command(flatten)]
    options: SignInOptions,
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The user name [default: the one that signed in last].
    username: Option<String>,
    #[command(flatten)]
    options: SignInOptions,
}

pub(crate) async fn register(app: &App, args: RegisterArgs) -> Result<(), Failure> {
    let client = app.client()?;
    client.check_secrets()?;
    let root = trust::meet(app, &client, args.options.trust_root.as_deref()).await?;
    let password = prompt::password(args.options.password_file.as_deref(), true)?;
    let request = RegisterRequest {
        request_id: String::new(),
        username: args.username,
        password: password.to_string(),
        display_name: args.display_name,
    };
    let signed_in = client.register(request).await?;
    keep(app, signed_in, &root, "Welcome")
}

pub(crate) async fn login(app: &App, args: LoginArgs) -> Result<(), Failure> {
    let kept = app.profile.signed_in().ok().flatten().map(|file| file.username);
    let username = args.username.or(kept).ok_or_else(|| {
        Failure::new(crate::failure::Exit::Usage, "whose session?").hint("run `poa login USERNAME`")
    })?;
    let client = app.client()?;
    client.check_secrets()?;
    let root = trust::meet(app, &client, args.options.trust_root.as_deref()).await?;
    let password = prompt::password(args.options.password_file.as_deref(), false)?;
    let signed_in = client.login(&username, &password).await?;
    keep(app, signed_in, &root, "Signed in")
}

/// Keeps the session and whom it believes.
fn keep(app: &App, signed_in: SignedIn, root: &TrustRoot, greeting: &str) -> Result<(), Failure> {
    let SignedIn { account, tokens } = signed_in;
    app.profile.save_trust_root(root)?;
    app.profile.save_signed_in(&SignedInFile {
        endpoint: app.endpoint()?,
        username: account.username.clone(),
        account_id: account.account_id.clone(),
        tokens,
    })?;
    app.out.show(&account, || {
        format!("{greeting}, {} ({}).", one_line(&account.username), account.account_id)
    })?;
    if root.network() == Network::Simulated {
        app.out.progress("Sats are simulated here. Next: `poa deposit 1000 --faucet --wait`, or `poa demo` for the whole story.");
    }
    Ok(())
}

pub(crate) async fn logout(app: &App) -> Result<(), Failure> {
    if let Some(file) = app.profile.signed_in()? {
        let client = poa_sdk::Client::connect(app.dial(file.endpoint)?)?;
        // Signed out here whatever the server says; told so where it could not be told.
        if let Err(error) = client.logout(&file.tokens).await {
            app.out.warn(&format!("the server was not told, the session ends there by itself: {error}"));
        }
        app.profile.forget_signed_in()?;
    }
    app.out.either(|| serde_json::json!({ "signed_out": true }), || "Signed out.".to_owned())
}

pub(crate) async fn whoami(app: &App) -> Result<(), Failure> {
    let account = app.session()?.account().await?;
    let endpoint = app.endpoint()?;
    app.out.show(&account, || {
        fields(&[
            ("account", account.account_id.clone()),
            ("user name", one_line(&account.username)),
            ("shown as", one_line(&account.display_name)),
            ("since", crate::describe::time(account.create_time.as_ref())),
            ("at", endpoint),
        ])
    })
}

pub(crate) async fn info(app: &App) -> Result<(), Failure> {
    let info = app.client()?.server_info().await?;
    let endpoint = app.endpoint()?;
    app.out.show(&info, || {
        let trust_root = poa_sdk::pinned_trust_root(&info)
            .map_or_else(|error| error.to_string(), |root| root.digest().to_string());
        let fee = f64::from(info.fee_basis_points) / 100.0;
        fields(&[
            ("mesh", endpoint),
            ("version", one_line(&info.server_version)),
            ("network", one_line(&info.network)),
            ("fee", format!("{fee} % of the price")),
            ("prices", format!("{} to {}", sats(info.min_price_msat), sats(info.max_price_msat))),
            ("inline", format!("up to {}", bytes(u64::try_from(info.max_inline_bytes).unwrap_or(0)))),
            ("faucet", if info.faucet { "yes: `poa deposit 1000 --faucet`" } else { "no" }.to_owned()),
            ("log", one_line(&info.log_origin)),
            ("log key", hex::encode(&info.log_public_key)),
            ("receipt key", hex::encode(&info.receipt_public_key)),
            ("trust root", trust_root),
        ])
    })
}
