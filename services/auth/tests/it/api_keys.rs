//! CreateApiKey, ListApiKeys, RevokeApiKey.

use std::time::Duration;

use poa_common::{AgentId, ApiKeyId};
use poa_proto::auth::v1::{
    ApiKey, CreateApiKeyRequest, CreateApiKeyResponse, ExchangeApiKeyRequest, ListAgentsRequest,
    ListApiKeysRequest, RevokeApiKeyRequest,
};
use tonic::{Code, Status};

use crate::support::{Server, bad_fields, nobody, refusal, server, with};

const ALL_SCOPES: [&str; 4] = ["account.read", "account.write", "agents.read", "agents.write"];

fn asked(server: &Server, name: &str, scopes: &[&str]) -> CreateApiKeyRequest {
    CreateApiKeyRequest {
        request_id: server.request_id(),
        name: name.to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        agent_id: String::new(),
        expire_time: None,
    }
}

async fn create(
    server: &Server,
    token: &str,
    request: CreateApiKeyRequest,
) -> Result<CreateApiKeyResponse, Status> {
    server.auth().create_api_key(with(token, request)).await.map(tonic::Response::into_inner)
}

async fn list(server: &Server, token: &str, page_size: i32, page_token: &str) -> (Vec<ApiKey>, String) {
    let request = ListApiKeysRequest { page_size, page_token: page_token.to_owned() };
    let answer = server.auth().list_api_keys(with(token, request)).await.unwrap().into_inner();
    (answer.api_keys, answer.next_page_token)
}

#[tokio::test]
async fn a_key_has_what_was_asked_for_and_shows_its_secret_once() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let token = &user.tokens.access_token;
    let request = asked(&server, "ci", &["tasks.read", "agents.read", "tasks.read"]);
    let made = create(&server, token, request.clone()).await.unwrap();
    let key = made.api_key.clone().unwrap();
    assert_eq!(key.scopes, ["agents.read", "tasks.read"]);
    assert_eq!((key.name.as_str(), key.agent_id.as_str(), key.revoke_time), ("ci", "", None));
    let year = 365 * 24 * 3_600;
    assert_eq!(key.expire_time.unwrap().seconds, server.env.now().unix_timestamp() + year);
    assert!(made.secret.starts_with("poak_") && made.secret.len() == 69, "{}", made.secret.len());

    // A replay shows the same secret, here and at another replica.
    server.clock.advance(Duration::from_secs(5));
    assert_eq!(create(&server, token, request.clone()).await.unwrap(), made);
    assert_eq!(create(&server.another().await, token, request.clone()).await.unwrap(), made);
    let other = CreateApiKeyRequest { name: "other".to_owned(), ..request };
    assert_eq!(refusal(create(&server, token, other).await).1, "REQUEST_ID_REUSED");

    let (keys, _) = list(&server, token, 0, "").await;
    assert_eq!(keys, [key]);
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT t::text FROM api_keys t UNION ALL SELECT t::text FROM idempotency_records t",
    )
    .fetch_all(&mut server.sql().await)
    .await
    .unwrap();
    assert!(!rows.join("\n").contains(&made.secret["poak_".len()..]));
}

#[tokio::test]
async fn a_key_never_holds_more_than_its_maker() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let narrow = server.token_of(&user, "account.write tasks.read");
    create(&server, &narrow, asked(&server, "ok", &["tasks.read"])).await.unwrap();
    let refused = create(&server, &narrow, asked(&server, "no", &["tasks.read", "money.withdraw"])).await;
    let status = refused.unwrap_err();
    let failure = poa_chassis::failure(&status);
    assert_eq!((failure.code, failure.reason.as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
    assert_eq!(failure.metadata["scope"], "money.withdraw");
}

#[tokio::test]
async fn a_caller_bound_to_one_agent_makes_keys_for_that_agent_alone() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let token = &user.tokens.access_token;
    let agent = async |name: &str| {
        let request = with(token, server.agent_request(&user, name));
        server.agents().register_agent(request).await.unwrap().into_inner().agent.unwrap().agent_id
    };
    let (mine, other) = (agent("one").await, agent("two").await);
    let bound = server.token(|claims| {
        claims.sub = user.account.account_id.parse().unwrap();
        claims.scope = ALL_SCOPES.join(" ");
        claims.sid = Some(user.tokens.session_id.parse().unwrap());
        claims.agent = Some(mine.parse().unwrap());
    });
    for agent_id in ["", &other] {
        let request =
            CreateApiKeyRequest { agent_id: agent_id.to_owned(), ..asked(&server, "wide", &["agents.read"]) };
        assert_eq!(bad_fields(create(&server, &bound, request).await), ["agent_id"]);
    }
    let request =
        CreateApiKeyRequest { agent_id: mine.clone(), ..asked(&server, "narrow", &["agents.read"]) };
    let made = create(&server, &bound, request).await.unwrap();
    assert_eq!(made.api_key.unwrap().agent_id, mine);
}

#[tokio::test]
async fn a_key_makes_and_revokes_no_keys_whatever_its_scopes() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let made = create(&server, &user.tokens.access_token, asked(&server, "ci", &ALL_SCOPES)).await.unwrap();
    let request = ExchangeApiKeyRequest { secret: made.secret };
    let bought = server.internal("gateway").exchange_api_key(request).await.unwrap().into_inner();
    let api_key_id = made.api_key.unwrap().api_key_id;
    let revoke = RevokeApiKeyRequest { request_id: server.request_id(), api_key_id };
    for refused in [
        create(&server, &bought.access_token, asked(&server, "heir", &["tasks.read"])).await.unwrap_err(),
        server.auth().revoke_api_key(with(&bought.access_token, revoke)).await.unwrap_err(),
    ] {
        let failure = poa_chassis::failure(&refused);
        assert_eq!((failure.code, failure.reason.as_str()), (Code::PermissionDenied, "AUDIENCE_MISMATCH"));
        assert_eq!(failure.metadata["audience"], "session");
    }
    let (keys, _) = list(&server, &bought.access_token, 0, "").await;
    assert_eq!((keys.len(), keys[0].revoke_time), (1, None), "nothing was made or revoked");
}

#[tokio::test]
async fn malformed_requests_name_their_fields() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let token = &user.tokens.access_token;
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let now = server.env.now().unix_timestamp();
    let good = || asked(&server, "ci", &["tasks.read"]);
    let stranger = server.sign_up("eve").await;
    let theirs = with(&stranger.tokens.access_token, server.agent_request(&stranger, "theirs"));
    let theirs = server.agents().register_agent(theirs).await.unwrap().into_inner().agent.unwrap().agent_id;
    for (request, field) in [
        (asked(&server, "ci", &["tasks.everything"]), "scopes[0]"),
        (asked(&server, "ci", &[]), "scopes"),
        (asked(&server, "c\0i", &["tasks.read"]), "name"),
        (CreateApiKeyRequest { agent_id: nobody::<AgentId>(&server), ..good() }, "agent_id"),
        (CreateApiKeyRequest { agent_id: theirs, ..good() }, "agent_id"),
        (CreateApiKeyRequest { agent_id: "agent_1".to_owned(), ..good() }, "agent_id"),
        (CreateApiKeyRequest { expire_time: time(now), ..good() }, "expire_time"),
        (CreateApiKeyRequest { expire_time: time(now + 366 * 24 * 3_600), ..good() }, "expire_time"),
        (CreateApiKeyRequest { expire_time: time(i64::MAX), ..good() }, "expire_time"),
        (CreateApiKeyRequest { request_id: String::new(), ..good() }, "request_id"),
    ] {
        assert_eq!(bad_fields(create(&server, token, request).await), [field]);
    }
}

#[tokio::test]
async fn an_account_has_a_hundred_working_keys_and_no_more_even_in_a_race() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let token = user.tokens.access_token.clone();
    let mut last = None;
    for _ in 0..98 {
        last = create(&server, &token, asked(&server, "ci", &["tasks.read"])).await.unwrap().api_key;
    }
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let request = with(&token, asked(&server, "ci", &["tasks.read"]));
            let mut client = server.auth();
            tokio::spawn(async move { client.create_api_key(request).await })
        })
        .collect();
    let mut made = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => made += 1,
            Err(status) => {
                let failure = poa_chassis::failure(&status);
                assert_eq!(failure.code, Code::ResourceExhausted);
                assert_eq!(failure.reason, "QUOTA_EXCEEDED");
                assert_eq!(failure.metadata["limit"], "100");
            }
        }
    }
    assert_eq!(made, 2);
    // A revoked key makes room.
    let revoke =
        RevokeApiKeyRequest { request_id: server.request_id(), api_key_id: last.unwrap().api_key_id };
    server.auth().revoke_api_key(with(&token, revoke)).await.unwrap();
    create(&server, &token, asked(&server, "ci", &["tasks.read"])).await.unwrap();
}

#[tokio::test]
async fn a_list_is_read_page_by_page_newest_first_by_its_owner_alone() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let eve = server.sign_up("eve").await;
    let token = &user.tokens.access_token;
    for name in ["1", "2", "3", "4", "5"] {
        server.clock.advance(Duration::from_millis(1));
        create(&server, token, asked(&server, name, &["tasks.read"])).await.unwrap();
    }
    let names = |keys: &[ApiKey]| keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>();
    let (first, next) = list(&server, token, 2, "").await;
    assert_eq!(names(&first), ["5", "4"]);
    // A changed page size is fine.
    let (rest, end) = list(&server, token, 200, &next).await;
    assert_eq!((names(&rest), end.as_str()), (vec!["3".to_owned(), "2".to_owned(), "1".to_owned()], ""));
    let (exact, end) = list(&server, token, 5, "").await;
    assert_eq!((exact.len(), end.as_str()), (5, ""));

    let read = async |token: &str, page_token: &str| {
        let request = ListApiKeysRequest { page_size: 2, page_token: page_token.to_owned() };
        server.auth().list_api_keys(with(token, request)).await
    };
    for (token, page_token) in [(&eve.tokens.access_token, next.as_str()), (token, "nonsense")] {
        let refused = refusal(read(token, page_token).await);
        assert_eq!(refused, (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
    }
    // Of another list.
    let request = ListAgentsRequest { page_size: 2, page_token: next };
    let refused = server.agents().list_agents(with(token, request)).await;
    assert_eq!(refusal(refused).1, "PAGE_TOKEN_INVALID");
    assert!(list(&server, &eve.tokens.access_token, 0, "").await.0.is_empty());
    let request = ListApiKeysRequest { page_size: 201, page_token: String::new() };
    assert_eq!(bad_fields(server.auth().list_api_keys(with(token, request)).await), ["page_size"]);
}

#[tokio::test]
async fn revoking_is_for_the_owner_and_may_be_repeated() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let eve = server.sign_up("eve").await;
    let token = &user.tokens.access_token;
    let made = create(&server, token, asked(&server, "ci", &["tasks.read"])).await.unwrap();
    let api_key_id = made.api_key.unwrap().api_key_id;
    let revoke = async |token: &str, api_key_id: &str| {
        let request =
            RevokeApiKeyRequest { request_id: server.request_id(), api_key_id: api_key_id.to_owned() };
        let answer = server.auth().revoke_api_key(with(token, request)).await?;
        Ok::<_, Status>(answer.into_inner().api_key.unwrap())
    };
    let missing = (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned());
    assert_eq!(refusal(revoke(&eve.tokens.access_token, &api_key_id).await), missing);
    assert_eq!(refusal(revoke(token, &nobody::<ApiKeyId>(&server)).await), missing);
    assert_eq!(bad_fields(revoke(token, "task_1").await), ["api_key_id"]);

    let first = revoke(token, &api_key_id).await.unwrap();
    assert!(first.revoke_time.is_some());
    server.clock.advance(Duration::from_secs(5));
    assert_eq!(revoke(token, &api_key_id).await.unwrap(), first);
    assert_eq!(list(&server, token, 0, "").await.0, [first]);

    let id = server.request_id();
    let request = RevokeApiKeyRequest { request_id: id.clone(), api_key_id };
    server.auth().revoke_api_key(with(token, request)).await.unwrap();
    let other = RevokeApiKeyRequest { request_id: id, api_key_id: nobody::<ApiKeyId>(&server) };
    assert_eq!(refusal(server.auth().revoke_api_key(with(token, other)).await).1, "REQUEST_ID_REUSED");
}
