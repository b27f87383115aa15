//! Evidence of a trusted execution environment that is made up, and that the mesh of the tests believes.

use std::path::Path;

use poa_proto::attestation::v1 as attestation;
use poa_proto::auth::v1 as auth;
use poa_proto::task::v1 as task;
use poa_proto::task::v1::task::State;
use poa_sdk::receipts::notice::TeeMeasurement;
use poa_sdk::receipts::tee::ReportData;
use poa_sdk::receipts::trust::TeeRoot;
use poa_sdk::receipts::{Digest, Envelope, TrustRoot};
use poa_sdk::{Build, Env};
use poa_testkit::{NitroEnclave, eventually};

use super::agent_keys;
use super::story::{RESULT, SOON, Story, ask, request_id};
use super::wire::Credentials;
use super::world::World;

/// What the enclave's build is, as Bob's agent publishes it.
fn measured_build() -> Build {
    Build { digest: Digest::of(b"a measured build"), source_ref: Some("https://example.org/1".to_owned()) }
}

/// Has the trust root of a deployment's keys name the root of a made-up enclave.
pub(crate) fn trust_enclave(keys: &Path, enclave: &NitroEnclave, env: &Env) {
    let mut trusted = agent_keys::trust_root(&keys.join("trust-root.json")).trusted().clone();
    let sha256 = enclave.root_sha256().parse().expect("a digest");
    trusted.tee_roots.push(TeeRoot { vendor: "awsNitro".to_owned(), sha256 });
    trusted.signatures.clear();
    let root = poa_chassis::keyring::signing_key(&keys.join("root.key"), env).expect("the root key");
    let signed = TrustRoot::of(trusted).and_then(|file| file.sign(&root)).expect("a trust root");
    std::fs::write(keys.join("trust-root.json"), signed.to_json().expect("JSON")).expect("the trust root");
}

impl Story<'_> {
    /// Evidence of the enclave, for a result of Bob's agent that names it.
    pub(crate) async fn evidence(self, enclave: &NitroEnclave) -> attestation::SubmitTeeEvidenceRequest {
        let claimed = self.claimed().await;
        let accepted = self.accepted(&claimed).await;
        let data = ReportData::of(&accepted.digest(), &Digest::of(RESULT), &self.cast.key.did());
        let evidence = enclave.evidence(data.as_bytes(), self.env.now());
        let build = Some(measured_build());
        let request = self.submission_of(&claimed, &accepted, build, Some(Digest::of(&evidence)));
        let path = "/poa.task.v1.TaskService/SubmitResult";
        let _made: task::SubmitResultResponse =
            ask(self.wire, path, &self.cast.bob.credentials(), &request).await;
        self.reach(&claimed.task_id, State::Submitted).await;
        attestation::SubmitTeeEvidenceRequest { task_id: claimed.task_id, evidence }
    }

    /// Bob's agent publishes the build that the enclave measures, and the log has it.
    pub(crate) async fn measured(self, world: &World) {
        let measurement =
            TeeMeasurement { vendor: "awsNitro".to_owned(), value: world.enclave.measurement() };
        let build = measured_build();
        let (agent, key) = (&self.cast.agent, &self.cast.key);
        let envelope = agent_keys::version_of(world, agent, key, build, vec![measurement]);
        let digest = Envelope::from_json(&envelope).expect("an envelope").digest();
        let request = auth::PublishAgentVersionRequest { request_id: request_id(self.env), envelope };
        let path = "/poa.auth.v1.AgentService/PublishAgentVersion";
        let _made: auth::PublishAgentVersionResponse =
            ask(self.wire, path, &self.cast.bob.credentials(), &request).await;
        eventually(SOON, "the version is in the log", async || {
            let request = attestation::GetLogEntriesRequest { first_index: 0, page_size: 1_000 };
            let path = "/poa.attestation.v1.AttestationService/GetLogEntries";
            let page: attestation::GetLogEntriesResponse =
                ask(self.wire, path, &Credentials::None, &request).await;
            let logged = |entry: &attestation::LogEntry| {
                Envelope::from_json(&entry.envelope).is_ok_and(|envelope| envelope.digest() == digest)
            };
            page.entries.iter().any(logged)
        })
        .await;
    }
}
