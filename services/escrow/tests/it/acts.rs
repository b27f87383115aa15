//! What users and operators do with money, as the tests have it.

use poa_proto::escrow::v1::escrow_admin_service_client::EscrowAdminServiceClient;
use poa_proto::escrow::v1::{
    CreateDepositRequest, CreateOutsideInvoiceRequest, CreateWithdrawalRequest, Deposit, GetBalanceRequest,
    GetWithdrawalRequest, LedgerEntry, ListLedgerEntriesRequest, PausePayoutsRequest, PayInvoiceRequest,
    PayoutSwitch, Withdrawal, withdrawal,
};
use poa_testkit::eventually;
use tonic::Status;

use crate::world::{SOON, User, World, with};

// === impl World ===

impl World {
    /// A user with a balance that came in as a deposit.
    pub(crate) async fn rich(&self, msat: i64) -> User {
        let user = self.user();
        self.fund(&user, msat).await;
        user
    }

    pub(crate) async fn fund(&self, user: &User, msat: i64) {
        let (before, _) = self.balance(user).await;
        let deposit = self.deposit(user, msat).await;
        self.pay(user, &deposit.invoice).await.unwrap();
        eventually(SOON, "the deposit is credited", async || self.balance(user).await.0 == before + msat)
            .await;
    }

    pub(crate) async fn deposit(&self, user: &User, msat: i64) -> Deposit {
        let request = CreateDepositRequest { request_id: self.request_id(), amount_msat: msat };
        self.escrow().create_deposit(with(&user.token, request)).await.unwrap().into_inner().deposit.unwrap()
    }

    pub(crate) async fn pay(&self, user: &User, invoice: &str) -> Result<i64, Status> {
        let request = PayInvoiceRequest { invoice: invoice.to_owned() };
        Ok(self.faucet().pay_invoice(with(&user.token, request)).await?.into_inner().amount_msat)
    }

    /// Available and held.
    pub(crate) async fn balance(&self, user: &User) -> (i64, i64) {
        let answer = self.escrow().get_balance(with(&user.token, GetBalanceRequest {})).await.unwrap();
        let balance = answer.into_inner().balance.unwrap();
        (balance.available_msat, balance.held_msat)
    }

    pub(crate) async fn entries(&self, user: &User) -> Vec<LedgerEntry> {
        let request = ListLedgerEntriesRequest { page_size: 200, page_token: String::new() };
        self.escrow().list_ledger_entries(with(&user.token, request)).await.unwrap().into_inner().entries
    }

    pub(crate) async fn outside_invoice(&self, user: &User, msat: i64) -> String {
        let request = CreateOutsideInvoiceRequest { amount_msat: msat };
        let answer = self.faucet().create_outside_invoice(with(&user.token, request)).await.unwrap();
        answer.into_inner().invoice
    }

    pub(crate) async fn withdraw(
        &self,
        user: &User,
        invoice: &str,
        limit: Option<i64>,
    ) -> Result<Withdrawal, Status> {
        let request = CreateWithdrawalRequest {
            request_id: self.request_id(),
            invoice: invoice.to_owned(),
            fee_limit_msat: limit,
            ..Default::default()
        };
        let answer = self.escrow().create_withdrawal(with(&user.token, request)).await?;
        Ok(answer.into_inner().withdrawal.unwrap())
    }

    /// Withdraws to a Lightning address.
    pub(crate) async fn send(&self, user: &User, address: &str, msat: i64) -> Result<Withdrawal, Status> {
        let request = self.send_request(address, msat);
        let answer = self.escrow().create_withdrawal(with(&user.token, request)).await?;
        Ok(answer.into_inner().withdrawal.unwrap())
    }

    pub(crate) fn send_request(&self, address: &str, msat: i64) -> CreateWithdrawalRequest {
        CreateWithdrawalRequest {
            request_id: self.request_id(),
            lightning_address: address.to_owned(),
            amount_msat: msat,
            ..Default::default()
        }
    }

    /// Pauses payouts, or lets them go on, as an operator.
    pub(crate) async fn pause(&self, paused: bool, reason: &str) -> PayoutSwitch {
        let token = std::fs::read_to_string(self.keys().join("admin.token")).unwrap();
        let mut client = EscrowAdminServiceClient::new(self.admin_channel());
        let request = PausePayoutsRequest { paused: Some(paused), reason: reason.to_owned() };
        client.pause_payouts(with(token.trim(), request)).await.unwrap().into_inner().payouts.unwrap()
    }

    pub(crate) async fn withdrawal(&self, user: &User, id: &str) -> Withdrawal {
        let request = GetWithdrawalRequest { withdrawal_id: id.to_owned() };
        self.escrow()
            .get_withdrawal(with(&user.token, request))
            .await
            .unwrap()
            .into_inner()
            .withdrawal
            .unwrap()
    }

    /// Waits until a withdrawal stands there, and answers with it.
    pub(crate) async fn reaches(&self, user: &User, id: &str, state: withdrawal::State) -> Withdrawal {
        let what = format!("the withdrawal is {}", state.as_str_name());
        eventually(SOON, &what, async || self.withdrawal(user, id).await.state() == state).await;
        self.withdrawal(user, id).await
    }
}
