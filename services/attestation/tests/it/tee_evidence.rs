//! SubmitTeeEvidence: what it takes, what it refuses, and what the receipt shows then.

use std::sync::Arc;

use poa_common::AccountId;
use poa_proto::attestation::v1::{GetReceiptBundleRequest, SubmitTeeEvidenceRequest};
use poa_testkit::{NitroEnclave, eventually};
use proof_of_agent::notice::TeeMeasurement;
use proof_of_agent::tee::ReportData;
use proof_of_agent::trust::TeeRoot;
use proof_of_agent::{
    AgentVersion, Bundle, DidKey, Digest, Nonce, NoticeStatement, Policy, ReleasePolicy, Statement,
    TrustLevel, Trusted, WorkSubmitted, verify,
};

use crate::fixture::{Cast, Play, RESULT, notices, refusal};
use crate::server::{Deployment, ORIGIN, Replica, SOON};

const BUILD: &[u8] = b"the archive";

/// An agent that works in an enclave that the trust root knows.
struct Stage {
    deployment: Arc<Deployment>,
    replica: Replica,
    enclave: NitroEnclave,
    cast: Cast,
}

/// A claimed task, and the acceptance of it.
struct Claim {
    play: Play,
    acceptance: Statement,
}

impl Stage {
    async fn set() -> Self {
        let mut deployment = Deployment::new().await;
        let enclave = NitroEnclave::new(deployment.env.now());
        let root = TeeRoot { vendor: "awsNitro".to_owned(), sha256: enclave.root_sha256().parse().unwrap() };
        let trusted = deployment.trust_root.trusted().clone();
        deployment.trust(Trusted { tee_roots: vec![root], signatures: Vec::new(), ..trusted });
        let deployment = Arc::new(deployment);
        let replica = deployment.replica().await;
        let cast = Cast::logged(&deployment).await;
        Self { deployment, replica, enclave, cast }
    }

    /// The agent publishes a build that is measured so.
    async fn publish(&self, measurement: String) {
        let (deployment, cast) = (&self.deployment, &self.cast);
        let version = AgentVersion {
            agent: cast.agent_id,
            version: "1.0.0".to_owned(),
            build_digest: Digest::of(BUILD),
            build_size: 11,
            source_ref: Some("https://example.org/agent@1.0.0".to_owned()),
            measurements: vec![TeeMeasurement { vendor: "awsNitro".to_owned(), value: measurement }],
            published_time: deployment.env.now(),
        };
        let (network, signer) = (deployment.trust_root.network(), DidKey::of(&cast.key));
        let nonce = Nonce::new(deployment.env.random());
        let statement = NoticeStatement::new(network, ORIGIN, signer, nonce, &version).unwrap();
        let envelope = statement.sign(&cast.key).unwrap().to_json();
        deployment.auth.publish(cast.agent_id, cast.payee, signer, envelope);
        notices(deployment, 2).await;
    }

    async fn claim(&self) -> Claim {
        let play = Play::new(&self.deployment, self.replica.pipe(), &self.cast);
        let offer = play.offer_under(ReleasePolicy::OnAttestation);
        play.platform(&offer).await.unwrap();
        let acceptance = play.accept(&offer, 1);
        play.agent(&acceptance).await.unwrap();
        Claim { play, acceptance }
    }

    /// Evidence of the enclave for a result of a claim.
    fn evidence(&self, claim: &Claim, result: &[u8]) -> Vec<u8> {
        let key = DidKey::of(&self.cast.key);
        let data = ReportData::of(&claim.acceptance.digest(), &Digest::of(result), &key);
        self.enclave.evidence(data.as_bytes(), self.deployment.env.now())
    }

    /// Submits the result, and names evidence.
    async fn submit(&self, claim: &Claim, evidence: &[u8]) {
        let (play, acceptance) = (&claim.play, &claim.acceptance);
        let plain = play.submit(acceptance, acceptance);
        let work = WorkSubmitted {
            build_digest: Some(Digest::of(BUILD)),
            tee_evidence_digest: Some(Digest::of(evidence)),
            ..plain.body().as_work_submitted().unwrap().clone()
        };
        play.agent(&acceptance.successor(play.by_agent(), work).unwrap()).await.unwrap();
    }

    /// The level that the platform answers with.
    async fn show(&self, claim: &Claim, by: AccountId, evidence: &[u8]) -> Result<String, (String, String)> {
        let task_id = claim.play.task.to_string();
        let request = SubmitTeeEvidenceRequest { task_id, evidence: evidence.to_vec() };
        let request = self.deployment.signed_in_for(by, "work.write", request);
        let answer = self.deployment.as_anyone(self.replica.pipe()).submit_tee_evidence(request).await;
        answer.map(|answer| answer.into_inner().trust_level).map_err(|status| refusal::<()>(Err(status)))
    }

    /// What a stranger sees of the receipt.
    async fn level(&self, claim: &Claim) -> TrustLevel {
        let mut bundle = None;
        eventually(SOON, "the receipt is logged", async || {
            let request = GetReceiptBundleRequest { task_id: claim.play.task.to_string() };
            let request = self.deployment.signed_in(self.cast.requester, request);
            let mut client = self.deployment.as_anyone(self.replica.pipe());
            let answer = client.get_receipt_bundle(request).await.unwrap().into_inner();
            bundle = Some(Bundle::from_json(&answer.bundle).unwrap());
            answer.logged
        })
        .await;
        let (bundle, now) = (bundle.unwrap(), self.deployment.env.now());
        verify(&bundle, &self.deployment.trust_root, &Policy::default(), now).unwrap().level
    }
}

#[tokio::test]
async fn evidence_of_the_run_makes_the_receipt_one_of_level_three() {
    let stage = Stage::set().await;
    stage.publish(stage.enclave.measurement()).await;
    let claim = stage.claim().await;
    let evidence = stage.evidence(&claim, RESULT);
    stage.submit(&claim, &evidence).await;
    assert_eq!(stage.level(&claim).await, TrustLevel::Published);
    for _ in 0..2 {
        assert_eq!(stage.show(&claim, stage.cast.payee, &evidence).await.as_deref(), Ok("L3"));
    }
    assert_eq!(stage.level(&claim).await, TrustLevel::Tee);
    stage.replica.stop().await;
}

#[tokio::test]
async fn evidence_that_would_spoil_the_receipt_is_refused() {
    let stage = Stage::set().await;
    stage.publish(stage.enclave.measurement()).await;
    let claim = stage.claim().await;
    // Genuine, and of another result.
    let other = stage.evidence(&claim, b"something else");
    assert_eq!(stage.show(&claim, stage.cast.payee, &other).await.unwrap_err().0, "RESOURCE_NOT_FOUND");
    stage.submit(&claim, &other).await;
    assert_eq!(stage.show(&claim, stage.cast.payee, &other).await.unwrap_err().0, "FIELDS_INVALID");
    // Genuine, of this result, and not what the agent has named.
    let unnamed = stage.evidence(&claim, RESULT);
    let refused = stage.show(&claim, stage.cast.payee, &unnamed).await.unwrap_err();
    assert_eq!(refused, ("CHAIN_MISMATCH".to_owned(), "teeEvidenceDigest".to_owned()));
    for stranger in [stage.cast.requester, stage.deployment.env.new_id()] {
        assert_eq!(stage.show(&claim, stranger, &other).await.unwrap_err().0, "RESOURCE_NOT_FOUND");
    }
    // And the receipt is what it was.
    assert_eq!(stage.level(&claim).await, TrustLevel::Published);
    stage.replica.stop().await;
}

#[tokio::test]
async fn evidence_of_another_build_or_of_none_is_refused() {
    let stage = Stage::set().await;
    let unpublished = stage.claim().await;
    let evidence = stage.evidence(&unpublished, RESULT);
    stage.submit(&unpublished, &evidence).await;
    // Published after the result: that shows nothing of the run.
    stage.publish("00".repeat(144)).await;
    let refused = stage.show(&unpublished, stage.cast.payee, &evidence).await.unwrap_err();
    assert_eq!(refused, ("CHAIN_MISMATCH".to_owned(), "agentVersion".to_owned()));
    let claim = stage.claim().await;
    let evidence = stage.evidence(&claim, RESULT);
    stage.submit(&claim, &evidence).await;
    assert_eq!(stage.show(&claim, stage.cast.payee, &evidence).await.unwrap_err().0, "FIELDS_INVALID");
    stage.replica.stop().await;
}
