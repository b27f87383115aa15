//! GetBalance, ListLedgerEntries, GetEscrow: one's own, and nothing else.

use poa_common::EscrowId;
use poa_proto::escrow::v1::ledger_entry::Kind;
use poa_proto::escrow::v1::{GetBalanceRequest, GetEscrowRequest, ListLedgerEntriesRequest, escrow};
use tonic::Code;

use crate::chain::{capture, held, receipts, refund};
use crate::world::{refusal, with, world};

#[tokio::test]
async fn an_account_that_never_had_sats_has_none() {
    let world = world().await;
    let user = world.user();
    assert_eq!(world.balance(&user).await, (0, 0));
    assert!(world.entries(&user).await.is_empty());
    let nobody = world.escrow().get_balance(GetBalanceRequest {}).await;
    assert_eq!(refusal(nobody), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));
    let narrow = world.token(user.account, "tasks.read", 600);
    let refused = world.escrow().get_balance(with(&narrow, GetBalanceRequest {})).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
}

#[tokio::test]
async fn the_entries_are_the_history_of_the_balance_newest_first_in_pages() {
    let world = world().await;
    let (user, eve) = (world.rich(1_000_000).await, world.user());
    let kept = held(&world, &user, 100_000).await;
    let returned = held(&world, &user, 50_000).await;
    refund(&world, &returned).await.unwrap();
    capture(&world, &kept, receipts(&world, &kept, user.account)).await.unwrap();

    let mut shown = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListLedgerEntriesRequest { page_size: 2, page_token };
        let page = world.escrow().list_ledger_entries(with(&user.token, request)).await.unwrap().into_inner();
        assert!(page.entries.len() <= 2);
        shown.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let rows: Vec<_> =
        shown.iter().map(|entry| (entry.kind(), entry.available_delta_msat, entry.held_delta_msat)).collect();
    assert_eq!(
        rows,
        [
            (Kind::Capture, 95_000, 0),
            (Kind::Capture, 0, -100_000),
            (Kind::Refund, 50_000, -50_000),
            (Kind::Hold, -50_000, 50_000),
            (Kind::Hold, -100_000, 100_000),
            (Kind::Deposit, 1_000_000, 0),
        ]
    );
    assert_eq!(shown[2].subject_id, returned.escrow.to_string());
    assert_eq!(shown, world.entries(&user).await);
    let (available, held) = world.balance(&user).await;
    assert_eq!(rows.iter().map(|row| row.1).sum::<i64>(), available);
    assert_eq!(rows.iter().map(|row| row.2).sum::<i64>(), held);

    let request = ListLedgerEntriesRequest { page_size: 2, page_token: String::new() };
    let first = world.escrow().list_ledger_entries(with(&user.token, request)).await.unwrap().into_inner();
    let stolen = ListLedgerEntriesRequest { page_size: 2, page_token: first.next_page_token };
    let refused = world.escrow().list_ledger_entries(with(&eve.token, stolen)).await;
    assert_eq!(refusal(refused), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
    let greedy = ListLedgerEntriesRequest { page_size: 201, page_token: String::new() };
    let refused = world.escrow().list_ledger_entries(with(&user.token, greedy)).await;
    assert_eq!(refusal(refused).1, "FIELDS_INVALID");
}

#[tokio::test]
async fn an_escrow_is_shown_to_its_payer_and_its_payee_alone() {
    let world = world().await;
    let (payer, payee, eve) = (world.rich(1_000_000).await, world.user(), world.user());
    let job = held(&world, &payer, 100_000).await;
    let get = async |token: &str, id: &str| {
        let request = GetEscrowRequest { escrow_id: id.to_owned() };
        let answer = world.escrow().get_escrow(with(token, request)).await?;
        Ok::<_, tonic::Status>(answer.into_inner().escrow.unwrap())
    };
    let id = job.escrow.to_string();
    let absent = (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned());
    assert_eq!(get(&payer.token, &id).await.unwrap().state(), escrow::State::Held);
    assert_eq!(refusal(get(&payee.token, &id).await), absent);
    capture(&world, &job, receipts(&world, &job, payee.account)).await.unwrap();
    let shown = get(&payee.token, &id).await.unwrap();
    assert_eq!(shown, get(&payer.token, &id).await.unwrap());
    assert_eq!((shown.state(), shown.task_id), (escrow::State::Released, job.task.to_string()));
    assert_eq!(refusal(get(&eve.token, &id).await), absent);
    assert_eq!(refusal(get(&payer.token, &world.nobody::<EscrowId>()).await), absent);
    assert_eq!(refusal(get(&payer.token, "escr_1").await).1, "FIELDS_INVALID");
}
