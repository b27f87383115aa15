//! Evidence held against the submission that names it: its digest, the result, the build, and the root of its own vendor.

use proof_of_agent::notice::TeeMeasurement;
use proof_of_agent::tee::{ReportData, Vendor};
use proof_of_agent::trust::{TeeRoot, Trusted};
use proof_of_agent::{
    AgentVersion, Digest, ReleasePolicy, TrustRoot, VerifyError, WorkSubmitted, verify_evidence,
};

use super::intel_rig::{MR_ENCLAVE, Rig};
use crate::fixture::{World, submitted};
use crate::plan::{trusted, version};

/// Work in a made-up SGX enclave.
struct Enclaved {
    evidence: Vec<u8>,
    root: Digest,
    work: WorkSubmitted,
    version: AgentVersion,
}

impl Enclaved {
    fn new() -> Self {
        let world = World::new();
        let acceptance = world.accept(&world.offer(ReleasePolicy::OnAcceptance), 1);
        let work = submitted(&acceptance);
        let key = world.received().agent_key;
        let mut rig = Rig::new(Vendor::IntelSgx);
        rig.report_data = ReportData::of(&work.acceptance, &work.output.sha256, &key).field();
        let evidence = rig.evidence().to_json().unwrap();
        let measured = TeeMeasurement { vendor: "intelSgx".to_owned(), value: hex::encode(MR_ENCLAVE) };
        Self {
            root: rig.roots().intel[0],
            work: WorkSubmitted { tee_evidence_digest: Some(Digest::of(&evidence)), ..work },
            version: AgentVersion { measurements: vec![measured], ..version() },
            evidence,
        }
    }

    /// Verified under a trust root that pins the root under this name.
    fn verify(&self, vendor: &str) -> Result<String, VerifyError> {
        let root = TeeRoot { vendor: vendor.to_owned(), sha256: self.root };
        let root = TrustRoot::of(Trusted { tee_roots: vec![root], ..trusted() }).unwrap();
        verify_evidence(&self.evidence, &self.work, &World::new().received(), &self.version, &root)
    }
}

#[track_caller]
fn refused(verified: Result<String, VerifyError>) {
    assert!(matches!(verified, Err(VerifyError::Evidence(_))), "{verified:?}");
}

#[test]
fn evidence_of_the_submission_holds_under_the_root_of_its_own_vendor_alone() {
    let work = Enclaved::new();
    work.verify("intelSgx").unwrap();
    for other in ["intelTdx", "amdSevSnp", "awsNitro", "intel"] {
        refused(work.verify(other));
    }
}

#[test]
fn evidence_of_another_submission_or_build_is_refused() {
    for digest in [None, Some(Digest::of(b"another file"))] {
        let mut named = Enclaved::new();
        named.work.tee_evidence_digest = digest;
        refused(named.verify("intelSgx"));
    }
    let mut result = Enclaved::new();
    result.work.output.sha256 = Digest::of(b"another result");
    refused(result.verify("intelSgx"));
    let mut build = Enclaved::new();
    build.version.measurements[0].value = "00".repeat(32);
    refused(build.verify("intelSgx"));
    let mut vendor = Enclaved::new();
    vendor.version.measurements[0].vendor = "intelTdx".to_owned();
    refused(vendor.verify("intelSgx"));
    let mut unmeasured = Enclaved::new();
    unmeasured.version.measurements.clear();
    refused(unmeasured.verify("intelSgx"));
}
