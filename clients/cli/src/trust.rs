//! Whom this profile believes: pinned when it first signs in, compared ever after.

use std::path::Path;

use poa_sdk::Client;
use poa_sdk::pinned_trust_root;
use poa_sdk::receipts::TrustRoot;

use crate::app::App;
use crate::failure::{Exit, Failure};

/// Checks the server's keys against the given or pinned trust root before a password is sent, or pins them. Answers with
/// what to keep once signing in has worked.
pub(crate) async fn meet(app: &App, client: &Client, file: Option<&Path>) -> Result<TrustRoot, Failure> {
    let info = client.server_info().await?;
    let shown = pinned_trust_root(&info)?;
    let known = match file {
        Some(_) => Some(app.trust_root(file)?),
        None => app.profile.trust_root()?,
    };
    let Some(known) = known else {
        app.out.warn(&format!(
            "Pinned on first use: the keys of {}.\n  trust root {}\n  log        {}\n  Compare the digest with one that you got from someone you trust.",
            app.endpoint()?,
            shown.digest(),
            shown.origin(),
        ));
        return Ok(shown);
    };
    if covers(&known, &shown) {
        return Ok(known);
    }
    let message = format!(
        "the server's keys are not those of the trust root {}: it says that it is {} on {}, with other keys",
        known.digest(),
        shown.origin(),
        shown.network(),
    );
    if shown.succeeds(&known).is_ok() {
        return Err(Failure::new(Exit::Unverified, message).hint(
            "there is a newer trust root, signed with a root key that you believe: get the file, and run `poa trust-root accept FILE`",
        ));
    }
    Err(Failure::new(Exit::Unverified, message).hint(format!(
        "do not sign in unless you know why; a new server wants a new profile (--profile NAME), or remove {}",
        app.profile.trust_root_path().display(),
    )))
}

/// Whether every key that a server shows is one that is believed.
pub(crate) fn covers(known: &TrustRoot, shown: &TrustRoot) -> bool {
    known.network() == shown.network()
        && known.origin() == shown.origin()
        && shown.log_keys().iter().all(|key| known.log_keys().contains(key))
        && shown.receipt_keys().iter().all(|key| known.receipt_keys().contains(key))
}

/// The pinned trust root, or for whoever works with an API key alone, the server's.
pub(crate) async fn believed(app: &App, client: &Client, file: Option<&Path>) -> Result<TrustRoot, Failure> {
    if file.is_some() || app.profile.trust_root()?.is_some() {
        return app.trust_root(file);
    }
    let info = client.server_info().await?;
    let shown = pinned_trust_root(&info)?;
    app.out.warn(&format!("no trust root is pinned: believing the server's own, {}", shown.digest()));
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use poa_sdk::api::auth::GetServerInfoResponse;
    use poa_sdk::{AgentKey, system_env};

    use super::*;

    fn root(origin: &str, receipt_key: &AgentKey) -> TrustRoot {
        let info = GetServerInfoResponse {
            network: "simulated".to_owned(),
            log_origin: origin.to_owned(),
            log_public_key: receipt_key.public_key().to_vec(),
            receipt_public_key: receipt_key.public_key().to_vec(),
            ..GetServerInfoResponse::default()
        };
        pinned_trust_root(&info).unwrap()
    }

    #[test]
    fn another_key_or_log_is_not_covered() {
        let (key, other) = (AgentKey::generate(&system_env()), AgentKey::generate(&system_env()));
        let known = root("a.poa", &key);
        assert!(covers(&known, &known));
        assert!(!covers(&known, &root("a.poa", &other)));
        assert!(!covers(&known, &root("b.poa", &key)));
    }
}
