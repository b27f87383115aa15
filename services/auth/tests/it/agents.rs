//! RegisterAgent, GetAgent, ListAgents, RetireAgent.

use std::time::Duration;

use poa_common::AgentId;
use poa_proto::auth::v1::{
    Agent, GetAgentRequest, ListAgentsRequest, RegisterAgentRequest, RetireAgentRequest, agent,
};
use tonic::{Code, Status};

use crate::support::{Server, User, bad_fields, nobody, refusal, server, with};

async fn register(server: &Server, user: &User, request: RegisterAgentRequest) -> Result<Agent, Status> {
    let answer = server.agents().register_agent(with(&user.tokens.access_token, request)).await?;
    Ok(answer.into_inner().agent.unwrap())
}

async fn get(server: &Server, user: &User, agent_id: &str) -> Result<Agent, Status> {
    let request = GetAgentRequest { agent_id: agent_id.to_owned() };
    let answer = server.agents().get_agent(with(&user.tokens.access_token, request)).await?;
    Ok(answer.into_inner().agent.unwrap())
}

async fn retire(server: &Server, user: &User, agent_id: &str) -> Result<Agent, Status> {
    let request = RetireAgentRequest { request_id: server.request_id(), agent_id: agent_id.to_owned() };
    let answer = server.agents().retire_agent(with(&user.tokens.access_token, request)).await?;
    Ok(answer.into_inner().agent.unwrap())
}

#[tokio::test]
async fn an_agent_is_registered_with_its_key_and_anyone_may_read_it() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let request = server.agent_request(&user, "Summariser");
    let made = register(&server, &user, request.clone()).await.unwrap();
    assert!(made.agent_id.starts_with("agent_"));
    assert_eq!(made.account_id, user.account.account_id);
    assert_eq!(made.public_key, request.public_key);
    assert_eq!(made.capabilities, ["text.summarize"]);
    assert_eq!(made.state(), agent::State::Active);
    let eve = server.sign_up("eve").await;
    assert_eq!(get(&server, &eve, &made.agent_id).await.unwrap(), made);
    let missing = (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned());
    assert_eq!(refusal(get(&server, &eve, &nobody::<AgentId>(&server)).await), missing);
    assert_eq!(bad_fields(get(&server, &eve, "agent_1").await), ["agent_id"]);

    // A replay answers the same, with no second agent and no second event.
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(register(&server, &user, request.clone()).await.unwrap(), made);
    let other = RegisterAgentRequest { name: "Other".to_owned(), ..request };
    assert_eq!(refusal(register(&server, &user, other).await).1, "REQUEST_ID_REUSED");
    assert_eq!(server.count("SELECT count(*) FROM agents").await, 1);
}

#[tokio::test]
async fn a_key_of_one_agent_registers_no_other_and_a_key_of_the_account_does() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let mine = register(&server, &user, server.agent_request(&user, "Mine")).await.unwrap();
    // As the exchange of an API key gives it: of no session.
    let key_token = |agent| {
        server.token(|claims| {
            claims.sub = user.account.account_id.parse().unwrap();
            claims.agent = agent;
        })
    };
    let bound = key_token(Some(mine.agent_id.parse().unwrap()));
    let request = with(&bound, server.agent_request(&user, "Other"));
    let refused = server.agents().register_agent(request).await.unwrap_err();
    let failure = poa_chassis::failure(&refused);
    assert_eq!((failure.code, failure.reason.as_str()), (Code::PermissionDenied, "AUDIENCE_MISMATCH"));
    assert_eq!(failure.metadata["audience"], "session");
    assert_eq!(server.count("SELECT count(*) FROM agents").await, 1);
    let request = with(&key_token(None), server.agent_request(&user, "Other"));
    server.agents().register_agent(request).await.unwrap();
}

#[tokio::test]
async fn a_proof_is_good_for_one_key_one_account_and_one_purpose() {
    let server = server().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    let theirs = server.agent_request(&ada, "Theirs");
    let mut flipped = server.agent_request(&eve, "Flipped");
    flipped.key_proof[0] ^= 1;
    let swapped = RegisterAgentRequest {
        public_key: server.agent_request(&eve, "x").public_key,
        ..server.agent_request(&eve, "Swapped")
    };
    // Ada's proof, overheard, does not make Eve the owner of Ada's key.
    for request in [theirs, flipped, swapped] {
        let refused = register(&server, &eve, request).await.unwrap_err();
        let failure = poa_chassis::failure(&refused);
        assert_eq!((failure.code, failure.reason.as_str()), (Code::InvalidArgument, "SIGNATURE_INVALID"));
        assert_eq!(failure.metadata["problem"], "signature");
    }
    assert_eq!(server.count("SELECT count(*) FROM agents").await, 0);
}

#[tokio::test]
async fn malformed_fields_are_named_and_a_weak_key_is_one() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let good = || server.agent_request(&user, "Agent");
    let mut identity = vec![0; 32];
    identity[0] = 1;
    for (request, field) in [
        (RegisterAgentRequest { public_key: identity, ..good() }, "public_key"),
        (RegisterAgentRequest { public_key: vec![2; 31], ..good() }, "public_key"),
        (RegisterAgentRequest { key_proof: vec![0; 63], ..good() }, "key_proof"),
        (RegisterAgentRequest { name: " ".to_owned(), ..good() }, "name"),
        (RegisterAgentRequest { description: "a\0b".to_owned(), ..good() }, "description"),
        (RegisterAgentRequest { capabilities: vec!["Text".to_owned()], ..good() }, "capabilities[0]"),
        (RegisterAgentRequest { capabilities: vec!["a".to_owned(); 2], ..good() }, "capabilities[1]"),
        (RegisterAgentRequest { request_id: "x".to_owned(), ..good() }, "request_id"),
    ] {
        assert_eq!(bad_fields(register(&server, &user, request).await), [field]);
    }
}

#[tokio::test]
async fn a_key_names_one_agent_for_ever_and_in_every_account() {
    let server = server().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let request = |user: &User| {
        use ed25519_dalek::Signer as _;
        let mut request = server.agent_request(user, "Agent");
        request.public_key = key.verifying_key().to_bytes().to_vec();
        let digits: String = request.public_key.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("poa.auth.v1.RegisterAgent\n{}\n{digits}", user.account.account_id);
        request.key_proof = key.sign(text.as_bytes()).to_bytes().to_vec();
        request
    };
    let made = register(&server, &ada, request(&ada)).await.unwrap();
    retire(&server, &ada, &made.agent_id).await.unwrap();
    for user in [&ada, &eve] {
        let refused = refusal(register(&server, user, request(user)).await);
        assert_eq!(refused, (Code::AlreadyExists, "AGENT_KEY_TAKEN".to_owned()));
    }
}

#[tokio::test]
async fn a_retired_agent_stays_and_retiring_may_be_repeated() {
    let server = server().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    let made = register(&server, &ada, server.agent_request(&ada, "Agent")).await.unwrap();
    let missing = (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned());
    assert_eq!(refusal(retire(&server, &eve, &made.agent_id).await), missing);
    assert_eq!(refusal(retire(&server, &ada, &nobody::<AgentId>(&server)).await), missing);
    assert_eq!(bad_fields(retire(&server, &ada, "acct_1").await), ["agent_id"]);

    let retired = retire(&server, &ada, &made.agent_id).await.unwrap();
    assert_eq!(retired.state(), agent::State::Retired);
    assert_eq!(retire(&server, &ada, &made.agent_id).await.unwrap(), retired);
    assert_eq!(get(&server, &eve, &made.agent_id).await.unwrap(), retired);
}

#[tokio::test]
async fn an_account_has_a_hundred_active_agents_and_no_more() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let mut last = None;
    for _ in 0..100 {
        last = Some(register(&server, &user, server.agent_request(&user, "Agent")).await.unwrap());
    }
    let refused = refusal(register(&server, &user, server.agent_request(&user, "Agent")).await);
    assert_eq!(refused, (Code::ResourceExhausted, "QUOTA_EXCEEDED".to_owned()));
    retire(&server, &user, &last.unwrap().agent_id).await.unwrap();
    register(&server, &user, server.agent_request(&user, "Agent")).await.unwrap();
}

#[tokio::test]
async fn a_list_holds_the_callers_own_agents_newest_first() {
    let server = server().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    for name in ["1", "2", "3"] {
        server.clock.advance(Duration::from_millis(1));
        register(&server, &ada, server.agent_request(&ada, name)).await.unwrap();
        register(&server, &eve, server.agent_request(&eve, "eve's")).await.unwrap();
    }
    let list = async |page_token: &str| {
        let request = ListAgentsRequest { page_size: 2, page_token: page_token.to_owned() };
        let answer =
            server.agents().list_agents(with(&ada.tokens.access_token, request)).await.unwrap().into_inner();
        let names: Vec<String> = answer.agents.into_iter().map(|agent| agent.name).collect();
        (names, answer.next_page_token)
    };
    let (first, next) = list("").await;
    assert_eq!(first, ["3", "2"]);
    assert_eq!(list(&next).await, (vec!["1".to_owned()], String::new()));
    let request = ListAgentsRequest { page_size: 2, page_token: next };
    let refused = server.agents().list_agents(with(&eve.tokens.access_token, request)).await;
    assert_eq!(refusal(refused).1, "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn a_token_of_an_account_that_is_not_here_registers_nothing() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let ghost = User {
        account: poa_proto::auth::v1::Account {
            account_id: nobody::<poa_common::AccountId>(&server),
            ..user.account.clone()
        },
        tokens: user.tokens.clone(),
    };
    let token = server.token_of(&ghost, "agents.write");
    let request = with(&token, server.agent_request(&ghost, "Agent"));
    let refused = refusal(server.agents().register_agent(request).await);
    assert_eq!(refused, (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));
}
