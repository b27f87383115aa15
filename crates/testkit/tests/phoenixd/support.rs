//! A stand-in and a provider that talks to it, with a clock in the test's hand.

use std::sync::Arc;
use std::time::Duration;

use poa_common::{Clock, Env, Msat, Timestamp};
use poa_payment::phoenixd::{Options, PhoenixdNode, PhoenixdPayer};
use poa_payment::{
    Invoice, InvoiceState, NewInvoice, Outcome, PayIntent, Payer as _, PaymentHash, Provider as _, decode,
};
use poa_testkit::phoenixd::{OutsideInvoice, Phoenixd};
use poa_testkit::{SeededEntropy, TestClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The sats of most tests.
pub(crate) const SATS: u64 = 10_000;
/// The same.
pub(crate) const AMOUNT: Msat = Msat::new(10_000_000);
/// What paying them costs: 4 sat and 0.4 %.
pub(crate) const FEE: Msat = Msat::new(44_000);

/// A clock that goes on by a millisecond whenever it is looked at, so that what happens later has a later time.
#[derive(Clone, Debug)]
pub(crate) struct Ticking(TestClock);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        self.0.advance(Duration::from_millis(1));
        self.0.now()
    }
}

/// Both sides. Each has a clock of its own: a node is another machine.
pub(crate) struct Fixture {
    pub(crate) phoenixd: Phoenixd,
    pub(crate) node: PhoenixdNode,
    pub(crate) payer: Arc<PhoenixdPayer>,
    pub(crate) env: Env,
    pub(crate) clock: TestClock,
}

impl Fixture {
    pub(crate) async fn new(seed: u64) -> Self {
        let clock = TestClock::new();
        Self::with(seed, clock.clone(), Env::new(Ticking(clock), SeededEntropy::new(seed))).await
    }

    /// With a clock that stands still: what happens has the same time.
    pub(crate) async fn frozen(seed: u64) -> Self {
        let clock = TestClock::new();
        Self::with(seed, clock.clone(), Env::new(clock, SeededEntropy::new(seed))).await
    }

    async fn with(seed: u64, clock: TestClock, env: Env) -> Self {
        let phoenixd = Phoenixd::start(env.clone()).await;
        let (node, payer) = PhoenixdNode::open(&options(&phoenixd), env.clone()).unwrap();
        assert!(seed < 1_000_000, "a seed that can be read in a message");
        Self { phoenixd, node, payer: Arc::new(payer), env, clock }
    }

    /// Another provider of the same node: what another process is, or this one after a restart.
    pub(crate) fn another(&self, change: impl FnOnce(&mut Options)) -> (PhoenixdNode, PhoenixdPayer) {
        let mut options = options(&self.phoenixd);
        change(&mut options);
        PhoenixdNode::open(&options, self.env.clone()).unwrap()
    }

    pub(crate) async fn invoice(&self) -> Invoice {
        self.node.create_invoice(request()).await.unwrap()
    }

    pub(crate) fn outside(&self) -> PayIntent {
        self.intent(&self.phoenixd.outside_invoice(OutsideInvoice::of_sat(SATS)))
    }

    pub(crate) fn intent(&self, bolt11: &str) -> PayIntent {
        let decoded = decode(bolt11).unwrap();
        PayIntent {
            hash: decoded.hash,
            bolt11: bolt11.to_owned(),
            amount: decoded.amount.unwrap_or(AMOUNT),
            fee_limit: Msat::new(1_000_000),
            deadline: self.env.now() + Duration::from_secs(60),
        }
    }

    pub(crate) async fn pay(&self, intent: &PayIntent) -> Outcome {
        self.payer.pay(intent.clone()).await
    }

    pub(crate) async fn state(&self, hash: PaymentHash) -> InvoiceState {
        self.node.lookup_invoice(hash).await.unwrap().unwrap()
    }

    /// How many payments were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.phoenixd.requests("POST /payinvoice")
    }
}

pub(crate) fn options(phoenixd: &Phoenixd) -> Options {
    Options {
        limited_password_file: Some(phoenixd.limited_password_file()),
        hint_interval: Duration::from_millis(10),
        listing_lag: Duration::from_millis(10),
        ..Options::new(phoenixd.url(), phoenixd.password_file())
    }
}

pub(crate) fn request() -> NewInvoice {
    NewInvoice {
        amount: AMOUNT,
        description_hash: [7; 32],
        expiry: Duration::from_secs(600),
        min_final_cltv: None,
    }
}

/// Whether it settled, and for which fee.
pub(crate) fn settled(outcome: &Outcome, hash: PaymentHash) -> Option<Msat> {
    match outcome {
        Outcome::Settled { preimage, fee } if preimage.hash() == hash => Some(*fee),
        Outcome::NotSent(_)
        | Outcome::InFlight
        | Outcome::Settled { .. }
        | Outcome::Failed(_)
        | Outcome::Unknown(_) => None,
    }
}

/// The stand-in's passwords.
pub(crate) const FULL: &str = "full-access-password";
pub(crate) const LIMITED: &str = "limited-access-password";

/// One request as bytes, and the answer: status, head, body.
pub(crate) async fn raw(
    address: &str,
    request: &str,
    password: Option<&str>,
    form: &str,
) -> (u16, String, String) {
    use base64::Engine as _;
    let authorization = password.map_or_else(String::new, |password| {
        let text = base64::engine::general_purpose::STANDARD.encode(format!("anybody:{password}"));
        format!("Authorization: Basic {text}\r\n")
    });
    let head = format!(
        "{request} HTTP/1.1\r\nHost: phoenixd\r\n{authorization}Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
        form.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}
