//! Intel SGX and TDX quotes of the DCAP kind.
//!
//! Source: Intel's documents "SGX ECDSA QuoteLibReference DCAP API", "TDX DCAP Quoting Library API", "SGX PCK
//! Certificate and CRL Profile", and the reference of the Provisioning Certification Service.

mod lists;
mod pck;
mod quote;
mod tcb;

use sha2::{Digest as _, Sha256};

use self::lists::{QeIdentity, TcbInfo};
use self::pck::Platform;
use self::quote::{Certification, Quote};
use super::evidence::IntelCollateral;
use super::window::Window;
use super::x509::{Certificate, Chain, Crl};
use super::{Authenticated, TeeError, TeePolicy, Vendor};
use crate::digest::Digest;

const PCK_CHAIN: &str = "the PCK certificate chain";
const TCB_CHAIN: &str = "the chain of the TCB info";
const QE_CHAIN: &str = "the chain of the QE identity";
const ROOT_CRL: &str = "the CRL of Intel's root";
const PCK_CRL: &str = "the CRL of the PCK CA";
const TCB_INFO: &str = "the TCB info";
const QE_IDENTITY: &str = "the QE identity";
/// The names of Intel's certificates: what one of them may sign follows from its name.
const PCK_NAMES: &[&str] = &["Intel SGX PCK Certificate"];
const PCK_CA_NAMES: &[&str] = &["Intel SGX PCK Processor CA", "Intel SGX PCK Platform CA"];
const SIGNER_NAMES: &[&str] = &["Intel SGX TCB Signing"];

/// Checks, in this order: the quote's layout; the machine's chain and those of Intel's lists, to one pinned
/// root; both revocation lists, and that they name none of these certificates; the signatures and dates of
/// Intel's lists; the quoting enclave's signature, its key, and that it is Intel's; the quote's signature; that
/// debugging is off; that the lists are of this machine, and their verdict on it.
pub(super) fn authenticate(
    vendor: Vendor,
    document: &[u8],
    collateral: &IntelCollateral,
    roots: &[Digest],
    policy: &TeePolicy,
    mut window: Window,
) -> Result<Authenticated, TeeError> {
    let quote = Quote::read(vendor, document)?;
    let pck = pck_chain(&quote, collateral)?;
    pck.verify(vendor, roots, &mut window)?;
    check_name(pck.leaf()?, PCK_CHAIN, PCK_NAMES)?;
    check_name(pck.at(1)?, PCK_CHAIN, PCK_CA_NAMES)?;
    let root = pck.root()?;
    let signer = |what, pem: &str, window: &mut Window| {
        let chain = Chain::new(what, Certificate::from_pem(what, pem)?, Some(2))?;
        chain.verify(vendor, &[root.fingerprint()], window)?;
        check_name(chain.leaf()?, what, SIGNER_NAMES)?;
        Ok::<_, TeeError>(chain)
    };
    let tcb_chain = signer(TCB_CHAIN, &collateral.tcb_info_issuer_chain, &mut window)?;
    let qe_chain = signer(QE_CHAIN, &collateral.qe_identity_issuer_chain, &mut window)?;

    let root_crl = Crl::verify(ROOT_CRL, &collateral.root_ca_crl, root, &mut window)?;
    let pck_crl = Crl::verify(PCK_CRL, &collateral.pck_crl, pck.at(1)?, &mut window)?;
    pck.check_not_revoked(1, &root_crl)?;
    tcb_chain.check_not_revoked(0, &root_crl)?;
    qe_chain.check_not_revoked(0, &root_crl)?;
    pck.check_not_revoked(0, &pck_crl)?;

    check_signed(TCB_INFO, &collateral.tcb_info, &collateral.tcb_info_signature, tcb_chain.leaf()?)?;
    check_signed(QE_IDENTITY, &collateral.qe_identity, &collateral.qe_identity_signature, qe_chain.leaf()?)?;
    let tcb_info = TcbInfo::read(vendor, &collateral.tcb_info)?;
    window.require(TCB_INFO, tcb_info.issue_date, tcb_info.next_update)?;
    let qe_identity = QeIdentity::read(vendor, &collateral.qe_identity)?;
    window.require(QE_IDENTITY, qe_identity.issue_date, qe_identity.next_update)?;

    check_quoting_enclave(&quote, pck.leaf()?)?;
    let qe_level = qe_identity.check(&quote.qe_report)?;
    if !quote.is_signed() {
        return Err(TeeError::BadSignature("the quote"));
    }
    quote.check_configuration()?;

    let platform = Platform::read(pck.leaf()?)?;
    if platform.fmspc != *tcb_info.fmspc || platform.pce_id != *tcb_info.pce_id {
        return Err(TeeError::WrongPlatform(TCB_INFO));
    }
    let verdict = tcb::verdict(&tcb_info, qe_level, &platform, &quote.body)?;
    policy.check_status(verdict.status, &verdict.advisories)?;
    let (valid_from, valid_until) = window.span();
    Ok(Authenticated {
        vendor,
        report_data: quote.body.report_data().to_vec(),
        measurement: quote.body.measurement(),
        tcb_status: Some(verdict.status),
        snp_tcb: None,
        advisories: verdict.advisories,
        valid_from,
        valid_until,
    })
}

/// The machine's certificate, its CA and the root: of the collateral, or else out of the quote.
fn pck_chain(quote: &Quote<'_>, collateral: &IntelCollateral) -> Result<Chain, TeeError> {
    let pem = match (&collateral.pck_certificate_chain, quote.certification) {
        (Some(pem), _) => pem.as_str(),
        (None, Certification::Chain(pem)) => {
            let pem = std::str::from_utf8(pem).map_err(|error| TeeError::malformed(PCK_CHAIN, error))?;
            // The text ends as those of C do.
            pem.trim_end_matches('\0')
        }
        (None, Certification::Other(kind)) => {
            let reason =
                format!("the quote has certification data of the kind {kind}, and no chain is supplied");
            return Err(TeeError::malformed(PCK_CHAIN, reason));
        }
    };
    Chain::new(PCK_CHAIN, Certificate::from_pem(PCK_CHAIN, pem)?, Some(3))
}

fn check_name(certificate: &Certificate, what: &'static str, names: &[&str]) -> Result<(), TeeError> {
    if certificate.common_name().is_some_and(|name| names.contains(&name)) {
        return Ok(());
    }
    Err(TeeError::WrongCertificate { what, reason: "it is issued for another purpose" })
}

/// Whether one of Intel's lists is signed by `signer`, byte by byte as it stands.
fn check_signed(
    what: &'static str,
    text: &str,
    signature: &str,
    signer: &Certificate,
) -> Result<(), TeeError> {
    let signature = hex::decode(signature).map_err(|error| TeeError::malformed(what, error))?;
    if signer.key().verifies_p256(text.as_bytes(), &signature) {
        Ok(())
    } else {
        Err(TeeError::BadSignature(what))
    }
}

/// The machine's key vouches for the quoting enclave's report, and that for the key that signed the quote.
fn check_quoting_enclave(quote: &Quote<'_>, pck: &Certificate) -> Result<(), TeeError> {
    if !pck.key().verifies_p256(quote.qe_report.bytes, quote.qe_report_signature) {
        return Err(TeeError::BadSignature("the quoting enclave's report"));
    }
    let mut hasher = Sha256::new();
    hasher.update(quote.attestation_key);
    hasher.update(quote.qe_auth_data);
    let mut expected = hasher.finalize().to_vec();
    expected.resize(quote.qe_report.report_data.len(), 0);
    if quote.qe_report.report_data != expected {
        return Err(TeeError::BadSignature("the quote's key"));
    }
    Ok(())
}
