//! One good call of each method: the table that tells what the descriptors cannot.
//!
//! A method whose request has no required fields needs no row. Every other one has, or the suite fails and says so. A row
//! is made anew each time it is asked for, with another payload, so that a mutation can be carried out with it.

use poa_common::{EscrowId, LiabilitiesId};
use poa_proto::attestation::v1 as attestation;
use poa_proto::auth::v1 as auth;
use poa_proto::escrow::v1 as escrow;
use poa_proto::search::v1 as search;
use poa_proto::task::v1 as task;
use poa_proto::{Audience, Method};
use poa_sdk::AgentKey;
use prost::Message;

use super::agent_keys;
use super::contract::contract;
use super::field::is_required;
use super::story::{Account, request_id, word};
use super::wire::{Credentials, server_of};
use super::world::Scene;

/// A request, and who may send it.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    pub(crate) caller: Credentials,
    pub(crate) request: Vec<u8>,
}

/// A good call of a method.
pub(crate) async fn example(scene: &Scene, method: &'static Method) -> Example {
    let (alice, bob) = (&scene.world.cast.alice, &scene.world.cast.bob);
    let name = method.path.trim_start_matches("/poa.");
    let row = match method.service() {
        "poa.auth.v1.AuthService" | "poa.auth.v1.AgentService" | "poa.auth.v1.AuthInternalService" => {
            Box::pin(of_auth(scene, name)).await
        }
        "poa.task.v1.TaskService" => Box::pin(of_task(scene, name)).await,
        "poa.escrow.v1.EscrowService" | "poa.escrow.v1.FaucetService" => {
            Box::pin(of_escrow(scene, name)).await
        }
        "poa.escrow.v1.EscrowInternalService" => of_escrow_internal(scene, name),
        "poa.escrow.v1.EscrowAdminService" => Box::pin(of_escrow_admin(scene, name)).await,
        "poa.attestation.v1.AttestationService" | "poa.attestation.v1.AttestationInternalService" => {
            Box::pin(of_attestation(scene, name)).await
        }
        "poa.search.v1.SearchService" => of_search(name),
        _ => None,
    };
    let request = row.unwrap_or_else(|| {
        let needed = contract().input(method).fields().find(is_required).map(|field| field.name().to_owned());
        if let Some(field) = needed {
            panic!("{name} needs {field} and has no example: add a row to tests/rpc/support/examples.rs");
        }
        Vec::new()
    });
    let works = method.scope == "work.write";
    let caller = match method.audience {
        Audience::Public if method.anonymous => Credentials::None,
        Audience::Public => if works { bob } else { alice }.credentials(),
        Audience::Internal => {
            let callers = method.callers.first().expect("an internal method names its callers");
            scene.world.service(callers, server_of(method))
        }
        Audience::Admin => scene.world.operator(),
    };
    Example { caller, request }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a row")]
fn row(request: &impl Message) -> Option<Vec<u8>> {
    Some(request.encode_to_vec())
}

async fn of_auth(scene: &Scene, name: &str) -> Option<Vec<u8>> {
    let (world, wire, env) = (&scene.world, &scene.wire, &scene.world.env);
    let alice = &world.cast.alice;
    match name {
        "auth.v1.AuthService/Register" => row(&Account::registration(env)),
        "auth.v1.AuthService/Login" => {
            // Another account each time: there is only one good password of each.
            row(&Account::register(wire, env).await.sign_in(env))
        }
        "auth.v1.AuthService/RefreshSession" => {
            let refresh_token = Account::register(wire, env).await.refresh_token;
            row(&auth::RefreshSessionRequest { refresh_token })
        }
        "auth.v1.AuthService/Logout" => {
            let refresh_token = Account::register(wire, env).await.refresh_token;
            row(&auth::LogoutRequest { refresh_token })
        }
        "auth.v1.AuthService/CreateApiKey" => row(&auth::CreateApiKeyRequest {
            request_id: request_id(env),
            name: word(env),
            scopes: vec!["tasks.read".to_owned()],
            agent_id: world.props.agent.agent_id.clone(),
            expire_time: None,
        }),
        "auth.v1.AuthService/RevokeApiKey" => {
            let api_key_id = alice.api_key(wire, env).await.api_key?.api_key_id;
            row(&auth::RevokeApiKeyRequest { request_id: request_id(env), api_key_id })
        }
        "auth.v1.AgentService/RegisterAgent" => row(&alice.agent_request(env).0),
        "auth.v1.AgentService/GetAgent" => {
            row(&auth::GetAgentRequest { agent_id: world.props.agent.agent_id.clone() })
        }
        "auth.v1.AgentService/RetireAgent" => {
            let agent_id = alice.agent(wire, env).await.0.agent_id;
            row(&auth::RetireAgentRequest { request_id: request_id(env), agent_id })
        }
        "auth.v1.AgentService/RotateAgentKey" => {
            let (agent, key) = alice.agent(wire, env).await;
            let new = AgentKey::generate(env);
            let change = agent_keys::change(&agent, &key, Some(&new));
            row(&auth::RotateAgentKeyRequest {
                request_id: request_id(env),
                agent_id: agent.agent_id,
                sequence: 2,
                public_key: new.public_key().to_vec(),
                reason: auth::KeyReason::Superseded.into(),
                compromised_since: None,
                key_proof: new.sign_change(&change).expect("a change of this key").to_vec(),
                authorisation: key.sign_change(&change).expect("a change of this key").to_vec(),
            })
        }
        "auth.v1.AgentService/RevokeAgentKey" => {
            let (agent, key) = alice.agent(wire, env).await;
            let change = agent_keys::change(&agent, &key, None);
            row(&auth::RevokeAgentKeyRequest {
                request_id: request_id(env),
                agent_id: agent.agent_id,
                sequence: 2,
                reason: auth::KeyReason::Superseded.into(),
                compromised_since: None,
                authorisation: key.sign_change(&change).expect("a change of this key").to_vec(),
            })
        }
        "auth.v1.AgentService/GetKeyEvents" => {
            row(&auth::GetKeyEventsRequest { agent_id: world.props.agent.agent_id.clone() })
        }
        "auth.v1.AgentService/PublishAgentVersion" => {
            let (agent, key) = alice.agent(wire, env).await;
            row(&auth::PublishAgentVersionRequest {
                request_id: request_id(env),
                envelope: agent_keys::version(world, &agent, &key),
            })
        }
        "auth.v1.AgentService/ListAgentVersions" => row(&auth::ListAgentVersionsRequest {
            agent_id: world.props.agent.agent_id.clone(),
            ..auth::ListAgentVersionsRequest::default()
        }),
        "auth.v1.AuthInternalService/ExchangeApiKey" => {
            row(&auth::ExchangeApiKeyRequest { secret: alice.api_key(wire, env).await.secret })
        }
        _ => None,
    }
}

async fn of_task(scene: &Scene, name: &str) -> Option<Vec<u8>> {
    let (world, env, story) = (&scene.world, &scene.world.env, scene.story());
    let request_id = request_id(env);
    match name {
        "task.v1.TaskService/CreateTask" => row(&task::CreateTaskRequest {
            direct_agent_id: world.cast.agent.agent_id.clone(),
            ..story.offer(&word(env))
        }),
        "task.v1.TaskService/GetTask" => {
            row(&task::GetTaskRequest { task_id: world.props.claimed.task_id.clone() })
        }
        "task.v1.TaskService/WatchTask" => {
            let task_id = world.props.claimed.task_id.clone();
            row(&task::WatchTaskRequest { task_id, cursor: String::new() })
        }
        "task.v1.TaskService/WatchOpenTasks" => row(&task::WatchOpenTasksRequest {
            agent_id: world.cast.agent.agent_id.clone(),
            ..task::WatchOpenTasksRequest::default()
        }),
        "task.v1.TaskService/ClaimTask" => row(&story.claim_request(&story.open(&word(env)).await)),
        "task.v1.TaskService/ClaimNextTask" => {
            let capability = word(env);
            story.open(&capability).await;
            row(&task::ClaimNextTaskRequest {
                request_id,
                agent_id: world.cast.agent.agent_id.clone(),
                capabilities: vec![capability],
                min_payee_msat: 0,
            })
        }
        "task.v1.TaskService/RenewClaim" => {
            let task_id = story.claimed().await.task_id;
            row(&task::RenewClaimRequest { request_id, task_id })
        }
        "task.v1.TaskService/ReleaseClaim" => {
            let task_id = story.claimed().await.task_id;
            row(&task::ReleaseClaimRequest { request_id, task_id, reason: word(env) })
        }
        "task.v1.TaskService/SubmitResult" => row(&story.submission(&story.claimed().await).await),
        "task.v1.TaskService/AcceptResult" => {
            let task_id = story.submitted().await.task_id;
            row(&task::AcceptResultRequest { request_id, task_id })
        }
        "task.v1.TaskService/RejectResult" => {
            let task_id = story.submitted().await.task_id;
            row(&task::RejectResultRequest { request_id, task_id, criterion: None, reason: word(env) })
        }
        "task.v1.TaskService/CancelTask" => {
            let task_id = story.open(&word(env)).await.task_id;
            row(&task::CancelTaskRequest { request_id, task_id })
        }
        _ => None,
    }
}

async fn of_escrow(scene: &Scene, name: &str) -> Option<Vec<u8>> {
    let (props, env, story) = (&scene.world.props, &scene.world.env, scene.story());
    // Whole sats, another number each time.
    let amount_msat = i64::from(u16::from_be_bytes(env.random())) * 1_000 + 10_000;
    match name {
        "escrow.v1.EscrowService/CreateDeposit" => {
            row(&escrow::CreateDepositRequest { request_id: request_id(env), amount_msat })
        }
        "escrow.v1.EscrowService/GetDeposit" => {
            row(&escrow::GetDepositRequest { deposit_id: props.deposit.deposit_id.clone() })
        }
        "escrow.v1.EscrowService/WatchDeposit" => {
            row(&escrow::WatchDepositRequest { deposit_id: props.deposit.deposit_id.clone() })
        }
        "escrow.v1.EscrowService/CreateWithdrawal" => row(&story.withdrawal_request().await),
        "escrow.v1.EscrowService/GetWithdrawal" => {
            row(&escrow::GetWithdrawalRequest { withdrawal_id: props.withdrawal.withdrawal_id.clone() })
        }
        "escrow.v1.EscrowService/ReplaceWithdrawalInvoice" => {
            let withdrawal_id = story.failed_withdrawal().await.withdrawal_id;
            let escrow::CreateWithdrawalRequest { request_id, invoice, fee_limit_msat, .. } =
                story.withdrawal_request().await;
            row(&escrow::ReplaceWithdrawalInvoiceRequest {
                request_id,
                withdrawal_id,
                invoice,
                fee_limit_msat,
            })
        }
        "escrow.v1.EscrowService/SetPayoutDestination" => row(&escrow::SetPayoutDestinationRequest {
            request_id: request_id(env),
            lightning_address: format!("{}@wallet.example", word(env)),
            // Never by itself: nobody is there.
            automatic_threshold_msat: 0,
        }),
        "escrow.v1.EscrowService/GetEscrow" => {
            row(&escrow::GetEscrowRequest { escrow_id: props.claimed.escrow_id.clone() })
        }
        "escrow.v1.EscrowService/EstimateFees" => {
            row(&escrow::EstimateFeesRequest { price_msat: amount_msat })
        }
        "escrow.v1.FaucetService/PayInvoice" => {
            row(&escrow::PayInvoiceRequest { invoice: story.deposit(amount_msat).await.invoice })
        }
        "escrow.v1.FaucetService/CreateOutsideInvoice" => {
            row(&escrow::CreateOutsideInvoiceRequest { amount_msat })
        }
        _ => None,
    }
}

fn of_escrow_internal(scene: &Scene, name: &str) -> Option<Vec<u8>> {
    let (world, props) = (&scene.world, &scene.world.props);
    match name {
        // The hold of an open task once more: the same verb again is OK.
        "escrow.v1.EscrowInternalService/HoldFunds" => row(&escrow::HoldFundsRequest {
            escrow_id: props.open.escrow_id.clone(),
            task_id: props.open.task_id.clone(),
            payer_id: world.cast.alice.id.clone(),
            amount_msat: props.open.price_msat,
            terms: props.open.terms.clone(),
            payer_token: world.cast.alice.token.clone(),
        }),
        "escrow.v1.EscrowInternalService/CaptureEscrow" => row(&escrow::CaptureEscrowRequest {
            escrow_id: props.completed.escrow_id.clone(),
            chain: props.chain.iter().map(|statement| statement.envelope.clone()).collect(),
        }),
        "escrow.v1.EscrowInternalService/RefundEscrow" => row(&escrow::RefundEscrowRequest {
            escrow_id: world.unused_id::<EscrowId>(),
            task_id: props.open.task_id.clone(),
        }),
        // What is held for good, and was released since, is as it is.
        "escrow.v1.EscrowInternalService/SecureEscrow" => row(&escrow::SecureEscrowRequest {
            escrow_id: props.completed.escrow_id.clone(),
            task_id: props.completed.task_id.clone(),
        }),
        "escrow.v1.EscrowInternalService/QuoteFee" => row(&escrow::QuoteFeeRequest {
            payer_id: world.cast.alice.id.clone(),
            price_msat: props.open.price_msat,
        }),
        _ => None,
    }
}

async fn of_escrow_admin(scene: &Scene, name: &str) -> Option<Vec<u8>> {
    let (env, story) = (&scene.world.env, scene.story());
    match name {
        // Lets payouts go on: paused, they would keep the other tests waiting.
        "escrow.v1.EscrowAdminService/PausePayouts" => {
            row(&escrow::PausePayoutsRequest { paused: Some(false), reason: word(env) })
        }
        // What has failed is returned already.
        "escrow.v1.EscrowAdminService/ReturnWithdrawal" => {
            let withdrawal_id = story.failed_withdrawal().await.withdrawal_id;
            row(&escrow::ReturnWithdrawalRequest { withdrawal_id, reason: word(env) })
        }
        "escrow.v1.EscrowAdminService/SetFeeSchedule" => row(&story.fee_request()),
        _ => None,
    }
}

async fn of_attestation(scene: &Scene, name: &str) -> Option<Vec<u8>> {
    let (world, props) = (&scene.world, &scene.world.props);
    let task_id = props.completed.task_id.clone();
    match name {
        "attestation.v1.AttestationService/GetAttestation" => {
            let attestation_id = props.chain.first()?.attestation_id.clone();
            row(&attestation::GetAttestationRequest { attestation_id })
        }
        "attestation.v1.AttestationService/ListAttestations" => row(&attestation::ListAttestationsRequest {
            task_id,
            ..attestation::ListAttestationsRequest::default()
        }),
        "attestation.v1.AttestationService/GetReceiptBundle" => {
            row(&attestation::GetReceiptBundleRequest { task_id })
        }
        "attestation.v1.AttestationService/SubmitTeeEvidence" => {
            row(&scene.story().evidence(&world.enclave).await)
        }
        "attestation.v1.AttestationService/GetTile" => {
            row(&attestation::GetTileRequest { path: "entries/000.p/1".to_owned() })
        }
        "attestation.v1.AttestationService/GetReputation" => {
            row(&attestation::GetReputationRequest { agent_id: props.agent.agent_id.clone() })
        }
        "attestation.v1.AttestationService/GetConsistencyProof" => {
            row(&attestation::GetConsistencyProofRequest { first_size: 1, second_size: 0 })
        }
        // The agent's acceptance once more: the same statement again is OK.
        "attestation.v1.AttestationInternalService/AppendStatement" => {
            let accepted = attestation::attestation::Kind::TermsAccepted;
            let statement = props.chain.iter().find(|statement| statement.kind() == accepted)?;
            let envelope = statement.envelope.clone();
            row(&attestation::AppendStatementRequest {
                task_id,
                account_id: world.cast.bob.id.clone(),
                statement: Some(attestation::append_statement_request::Statement::Envelope(envelope)),
            })
        }
        "attestation.v1.AttestationInternalService/AppendLiabilities" => {
            row(&attestation::AppendLiabilitiesRequest {
                snapshot_id: world.unused_id::<LiabilitiesId>(),
                root: world.env.random::<32>().to_vec(),
                liabilities_msat: 1_000,
                leaf_count: 1,
                snapshot_time: Some(poa_sdk::to_time(world.env.now())),
            })
        }
        _ => None,
    }
}

fn of_search(name: &str) -> Option<Vec<u8>> {
    match name {
        // Alice's own tasks: of the market's there may be one alone.
        "search.v1.SearchService/SearchTasks" => row(&search::SearchTasksRequest {
            view: search::search_tasks_request::View::Mine.into(),
            ..search::SearchTasksRequest::default()
        }),
        "search.v1.SearchService/Suggest" => {
            row(&search::SuggestRequest { prefix: "tex".to_owned(), max_suggestions: 0 })
        }
        _ => None,
    }
}
