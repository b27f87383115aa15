//! A made-up Intel: a machine, its quotes, and the lists that judge it.

use std::ops::Range;

use proof_of_agent::tee::{Collateral, Evidence, IntelCollateral, TeeRoots, Vendor};
use rcgen::CustomExtension;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::authority::{Certified, Key, Wanted, der_integer};
use super::report_data;

pub(super) const MR_ENCLAVE: [u8; 32] = [0xe1; 32];
pub(super) const MR_TD: [u8; 48] = [0xd1; 48];
pub(super) const REGISTERS: [u8; 192] = [0xd2; 192];
const FMSPC: [u8; 6] = [0, 0x90, 0x6e, 0xa1, 0, 0];
const MR_SIGNER: [u8; 32] = [0x51; 32];
const MODULE_SIGNER: [u8; 48] = [0x52; 48];
/// The machine's certificate's identifier of what only Intel's have.
const SGX_ARC: [u64; 7] = [1, 2, 840, 113_741, 1, 13, 1];
const SGX_OID: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01];

/// What may be changed before a quote is made.
pub(super) struct Rig {
    pub(super) vendor: Vendor,
    /// The version of a TDX quote, and the kind of its body in version 5.
    pub(super) version: u16,
    pub(super) body_kind: u16,
    pub(super) root: Certified,
    pub(super) pck_ca: Certified,
    pub(super) signer: Certified,
    pub(super) pck_name: &'static str,
    pub(super) machine_svn: u8,
    pub(super) fmspc: [u8; 6],
    pub(super) attributes: [u8; 16],
    pub(super) td_attributes: u64,
    pub(super) tcb_svn: [u8; 16],
    pub(super) current_tcb_svn: [u8; 16],
    pub(super) service_domain: [u8; 48],
    pub(super) module_signer: [u8; 48],
    pub(super) report_data: [u8; 64],
    pub(super) qe_signer: [u8; 32],
    pub(super) qe_svn: u16,
    pub(super) qe_attributes: [u8; 16],
    pub(super) tcb_info: Value,
    pub(super) qe_identity: Value,
    pub(super) pck_crl: Vec<u8>,
    pub(super) root_crl: Vec<u8>,
}

/// A level of Intel's list, which a machine reaches with `svn` in every component.
pub(super) fn level(svn: u8, status: &str, advisories: &[&str]) -> Value {
    let components = vec![json!({ "svn": svn }); 16];
    json!({
        "tcb": { "sgxtcbcomponents": components, "pcesvn": u16::from(svn), "tdxtcbcomponents": components },
        "tcbDate": "2025-01-01T00:00:00Z",
        "tcbStatus": status,
        "advisoryIDs": advisories,
    })
}

pub(super) fn svn_level(svn: u16, status: &str) -> Value {
    json!({ "tcb": { "isvsvn": svn }, "tcbDate": "2025-01-01T00:00:00Z", "tcbStatus": status })
}

impl Rig {
    pub(super) fn new(vendor: Vendor) -> Self {
        let root = Certified::root("Intel SGX Root CA", Key::p256(1));
        let pck_ca = root.issue(&Wanted::ca("Intel SGX PCK Platform CA", 2), Key::p256(2));
        let signer = root.issue(&Wanted::leaf("Intel SGX TCB Signing", 3), Key::p256(3));
        let tdx = vendor == Vendor::IntelTdx;
        let (pck_crl, root_crl) = (pck_ca.revoke(&[]), root.revoke(&[]));
        Self {
            vendor,
            version: if tdx { 4 } else { 3 },
            body_kind: 3,
            root,
            pck_ca,
            signer,
            pck_name: "Intel SGX PCK Certificate",
            machine_svn: 5,
            fmspc: FMSPC,
            attributes: [5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
            td_attributes: 1 << 28,
            tcb_svn: [5; 16],
            current_tcb_svn: [5; 16],
            service_domain: [0; 48],
            module_signer: MODULE_SIGNER,
            report_data: report_data().field(),
            qe_signer: MR_SIGNER,
            qe_svn: 8,
            qe_attributes: [0x11, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0, 0, 0, 0, 0, 0, 0],
            tcb_info: tcb_info(tdx),
            qe_identity: qe_identity(tdx),
            pck_crl,
            root_crl,
        }
    }

    pub(super) fn roots(&self) -> TeeRoots {
        TeeRoots { intel: vec![self.root.fingerprint()], ..TeeRoots::none() }
    }

    pub(super) fn evidence(&self) -> Evidence {
        let (tcb_info, qe_identity) = (self.tcb_info.to_string(), self.qe_identity.to_string());
        let sign = |text: &str| hex::encode(self.signer.key.sign_fixed(text.as_bytes()));
        let chain = [self.signer.pem(), self.root.pem()].concat();
        let collateral = Box::new(IntelCollateral {
            tcb_info_signature: sign(&tcb_info),
            tcb_info,
            tcb_info_issuer_chain: chain.clone(),
            qe_identity_signature: sign(&qe_identity),
            qe_identity,
            qe_identity_issuer_chain: chain,
            pck_crl: self.pck_crl.clone(),
            root_ca_crl: self.root_crl.clone(),
            pck_certificate_chain: None,
        });
        let collateral = match self.vendor {
            Vendor::IntelTdx => Collateral::IntelTdx(collateral),
            _ => Collateral::IntelSgx(collateral),
        };
        Evidence { document: self.quote(), collateral }
    }

    fn quote(&self) -> Vec<u8> {
        let tdx = self.vendor == Vendor::IntelTdx;
        let mut quote = Vec::new();
        quote.extend(self.version.to_le_bytes());
        quote.extend(2_u16.to_le_bytes());
        quote.extend(if tdx { 0x81_u32 } else { 0 }.to_le_bytes());
        quote.extend([0; 4]);
        quote.extend(hex::decode("939a7233f79c4ca9940a0db3957f0607").unwrap());
        quote.extend([0; 20]);
        let body = if tdx {
            self.domain()
        } else {
            enclave(&self.attributes, &MR_ENCLAVE, &[9; 32], 1, 1, &self.report_data)
        };
        if self.version == 5 {
            quote.extend(self.body_kind.to_le_bytes());
            quote.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        }
        quote.extend(body);

        let key = Key::p256(20);
        let auth_data = [0x0a; 32];
        let mut signature_data = [key.sign_fixed(&quote), key.point().to_vec()].concat();
        let mut hasher = Sha256::new();
        hasher.update(key.point());
        hasher.update(auth_data);
        let mut bound = [0; 64];
        bound[..32].copy_from_slice(&hasher.finalize());
        let report = enclave(&self.qe_attributes, &[0x0e; 32], &self.qe_signer, 1, self.qe_svn, &bound);
        let pck = self.pck();
        let chain = [pck.pem(), self.pck_ca.pem(), self.root.pem(), "\0".to_owned()].concat();
        let mut certified = [report.clone(), pck.key.sign_fixed(&report)].concat();
        certified.extend(32_u16.to_le_bytes());
        certified.extend(auth_data);
        certified.extend(5_u16.to_le_bytes());
        certified.extend(u32::try_from(chain.len()).unwrap().to_le_bytes());
        certified.extend(chain.into_bytes());
        if tdx {
            signature_data.extend(6_u16.to_le_bytes());
            signature_data.extend(u32::try_from(certified.len()).unwrap().to_le_bytes());
        }
        signature_data.extend(certified);
        quote.extend(u32::try_from(signature_data.len()).unwrap().to_le_bytes());
        quote.extend(signature_data);
        quote
    }

    fn domain(&self) -> Vec<u8> {
        let mut body = self.tcb_svn.to_vec();
        body.extend([0; 48]);
        body.extend(self.module_signer);
        body.extend([0; 8]);
        body.extend(self.td_attributes.to_le_bytes());
        body.extend([0; 8]);
        body.extend(MR_TD);
        body.extend([0; 3 * 48]);
        body.extend(REGISTERS);
        body.extend(self.report_data);
        if self.version == 5 && self.body_kind != 2 {
            body.extend(self.current_tcb_svn);
            body.extend(self.service_domain);
        }
        body
    }

    /// The machine's certificate, of the serial number 4.
    fn pck(&self) -> Certified {
        let oid = |rest: &[u8]| tlv(6, &[&SGX_OID[..], rest].concat());
        let pair = |rest: &[u8], value: Vec<u8>| tlv(0x30, &[oid(rest), value].concat());
        let part = |part: u8| pair(&[2, part], der_integer(self.machine_svn));
        let tcb = tlv(0x30, &(1..=17).flat_map(part).collect::<Vec<u8>>());
        let entries = [
            pair(&[1], tlv(4, &[0xaa; 16])),
            pair(&[2], tcb),
            pair(&[3], tlv(4, &[0, 0])),
            pair(&[4], tlv(4, &self.fmspc)),
        ];
        let extension = CustomExtension::from_oid_content(&SGX_ARC, tlv(0x30, &entries.concat()));
        self.pck_ca.issue(&Wanted::leaf(self.pck_name, 4).with(vec![extension]), Key::p256(4))
    }
}

fn tcb_info(tdx: bool) -> Value {
    let module = json!({
        "mrsigner": hex::encode(MODULE_SIGNER),
        "attributes": "0000000000000000",
        "attributesMask": "FFFFFFFFFFFFFFFF",
    });
    let mut identity = module.clone();
    identity["id"] = json!("TDX_05");
    identity["tcbLevels"] = json!([svn_level(5, "UpToDate"), svn_level(2, "OutOfDate")]);
    json!({
        "id": if tdx { "TDX" } else { "SGX" },
        "version": 3,
        "issueDate": "2026-01-01T00:00:00Z",
        "nextUpdate": "2026-01-31T00:00:00Z",
        "fmspc": hex::encode_upper(FMSPC),
        "pceId": "0000",
        "tdxModule": module,
        "tdxModuleIdentities": [identity],
        "tcbLevels": [level(5, "UpToDate", &[]), level(3, "OutOfDate", &["INTEL-SA-00002", "INTEL-SA-00001"])],
    })
}

fn qe_identity(tdx: bool) -> Value {
    json!({
        "id": if tdx { "TD_QE" } else { "QE" },
        "version": 2,
        "issueDate": "2026-01-01T00:00:00Z",
        "nextUpdate": "2026-01-31T00:00:00Z",
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": hex::encode_upper(MR_SIGNER),
        "isvprodid": 1,
        "tcbLevels": [svn_level(8, "UpToDate"), svn_level(6, "OutOfDate")],
    })
}

fn enclave(
    attributes: &[u8; 16],
    measurement: &[u8; 32],
    signer: &[u8; 32],
    product: u16,
    svn: u16,
    report_data: &[u8; 64],
) -> Vec<u8> {
    let mut report = vec![0; 384];
    let mut put = |place: Range<usize>, bytes: &[u8]| report[place].copy_from_slice(bytes);
    put(48..64, attributes);
    put(64..96, measurement);
    put(128..160, signer);
    put(256..258, &product.to_le_bytes());
    put(258..260, &svn.to_le_bytes());
    put(320..384, report_data);
    report
}

/// An element of DER.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header =
        if content.len() < 0x80 { vec![tag, length[1]] } else { vec![tag, 0x82, length[0], length[1]] };
    [header, content.to_vec()].concat()
}
