#![doc = include_str!("../README.md")]

mod answer;
#[cfg(target_arch = "wasm32")]
pub mod bindings;
mod code;
mod options;

use proof_of_agent::{BalanceProof, Bundle, LiabilitiesError, TrustRoot, Verified, VerifiedBalance, dsse};

use answer::{Failure, answer};
use options::{BalanceOptions, ReceiptOptions, parse};

/// Verifies a receipt's bundle against a trust root. `options` is a JSON object with `timeMs`, and `requirePaid`, `network`,
/// `minLogSize`, `minLevel` and `reproducedBuild` where they are wanted.
///
/// Answers `{"value": …}` with what the receipt proves, or `{"error": {"code": …, "message": …}}`.
pub fn verify(bundle: &[u8], trust_root: &[u8], options: &str) -> String {
    answer(receipt(bundle, trust_root, options))
}

/// Verifies the proof of a balance against a trust root. `options` is a JSON object with `timeMs`, and `network` and
/// `minLogSize` where they are wanted. Answers as [`verify`] does.
pub fn verify_balance(proof: &[u8], trust_root: &[u8], options: &str) -> String {
    answer(balance(proof, trust_root, options))
}

/// The digest of a trust root's file, which people compare: 64 hexadecimal digits, in an answer as that of [`verify`].
pub fn trust_root_digest(file: &[u8]) -> String {
    answer(TrustRoot::from_json(file).map(|root| root.digest()).map_err(Failure::from))
}

/// The digest by which statements refer to each other: SHA-256 of the PAE around a statement's exact bytes, in 64
/// hexadecimal digits.
pub fn digest_of_statement(payload: &[u8]) -> String {
    dsse::statement_digest(payload).to_string()
}

fn receipt(bundle: &[u8], trust_root: &[u8], options: &str) -> Result<Verified, Failure> {
    let options: ReceiptOptions = parse(options)?;
    let trust_root = TrustRoot::from_json(trust_root)?;
    let bundle = Bundle::from_json(bundle)?;
    Ok(proof_of_agent::verify(&bundle, &trust_root, &options.policy()?, options.time_ms.time()?)?)
}

fn balance(proof: &[u8], trust_root: &[u8], options: &str) -> Result<VerifiedBalance, Failure> {
    let options: BalanceOptions = parse(options)?;
    let trust_root = TrustRoot::from_json(trust_root)?;
    let proof = BalanceProof::from_json(proof)?;
    let time = options.time_ms.time()?;
    let verified = proof_of_agent::verify_balance(&proof, &trust_root, options.min_log_size, time)?;
    match options.network.filter(|expected| *expected != verified.network) {
        Some(expected) => Err(LiabilitiesError::Network { expected, found: verified.network }.into()),
        None => Ok(verified),
    }
}
