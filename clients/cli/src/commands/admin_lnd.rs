//! `admin lnd-macaroons`: how to make what an LND node asks for, by least privilege.

use std::path::{Path, PathBuf};

use clap::Args;
use poa_sdk::lnd::Role;
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct MacaroonArgs {
    /// How `lncli` is called on the node, with the options that it needs.
    #[arg(long, default_value = "lncli", value_name = "COMMAND")]
    lncli: String,
    /// Where the macaroons are written to, on the machine of the node.
    #[arg(long, default_value = ".", value_name = "DIR")]
    save_to: PathBuf,
    /// The root key to derive them from, so that they can be revoked: `lncli deletemacaroonid N` [default: LND's own, which
    /// cannot be deleted].
    #[arg(long, value_name = "N")]
    root_key_id: Option<u64>,
}

pub(super) fn macaroons(app: &App, args: &MacaroonArgs) -> Result<(), Failure> {
    for role in Role::ALL {
        let file = args.save_to.join(format!("{}.macaroon", role.as_str()));
        let command = command(args, &file, role);
        app.out.either(
            || {
                json!({
                    "role": role.as_str(), "file": file.display().to_string(), "command": command,
                    "permissions": role.permissions(),
                })
            },
            || format!("# {}\n{command}", purpose(role)),
        )?;
    }
    app.out.progress(
        "None of them can open a channel, move on-chain funds or delete a payment. Copy the files to the escrow server, readable by its user alone.",
    );
    Ok(())
}

fn purpose(role: Role) -> &'static str {
    match role {
        Role::Invoices => "Makes, settles, cancels and watches invoices.",
        Role::Payouts => "Sends payments: the payout worker alone has it.",
        Role::Reconciliation => "Reads what the node holds and has done.",
    }
}

/// Two lines for a shell: make the macaroon, close its file to others.
fn command(args: &MacaroonArgs, file: &Path, role: Role) -> String {
    let root_key = args.root_key_id.map(|id| format!(" --root_key_id={id}")).unwrap_or_default();
    let file = quoted(&file.display().to_string());
    let permissions: String =
        role.permissions().iter().map(|permission| format!(" \\\n    {permission}")).collect();
    let lncli = &args.lncli;
    format!("{lncli} bakemacaroon --save_to={file}{root_key}{permissions}\nchmod 600 {file}")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-~".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_every_permission_of_its_macaroon_and_no_other() {
        let args = MacaroonArgs {
            lncli: "lncli --network=regtest".to_owned(),
            save_to: PathBuf::new(),
            root_key_id: Some(7),
        };
        for role in Role::ALL {
            let made = command(&args, Path::new("keys/m.macaroon"), role);
            let words: Vec<&str> = made.split_whitespace().filter(|word| *word != "\\").collect();
            assert_eq!(
                words[..4],
                ["lncli", "--network=regtest", "bakemacaroon", "--save_to=keys/m.macaroon"]
            );
            let (permissions, rest) = words[5..].split_at(role.permissions().len());
            assert_eq!(permissions, role.permissions());
            assert_eq!(rest, ["chmod", "600", "keys/m.macaroon"]);
        }
    }

    #[test]
    fn a_folder_with_blanks_is_one_word_of_the_shell() {
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!(quoted("/srv/lnd/invoices.macaroon"), "/srv/lnd/invoices.macaroon");
    }
}
