//! What is asked of a phoenixd, and nothing that changes it.

use serde::de::DeserializeOwned;

use super::Inner;
use super::answers::{Funds, Incoming, Misunderstood, NodeInfo, Outgoing, read};
use super::http::{Http, ONE, PAGE, Reply};
use super::{states, texts};
use crate::{Doubt, FailureReason, Outcome, PaymentHash};

/// The statuses that have a meaning here.
const OK: u16 = 200;
const UNAUTHORIZED: u16 = 401;

// === impl Inner ===

impl Inner {
    /// Who the node is, and how its channels are.
    pub(super) async fn node(&self) -> Result<NodeInfo, Misunderstood> {
        one(&self.http, "getinfo").await
    }

    /// What the node holds.
    pub(super) async fn funds(&self) -> Result<Funds, Misunderstood> {
        one(&self.http, "getbalance").await
    }

    /// An invoice of the node; `None` only where it says that it does not know the hash.
    pub(super) async fn incoming(&self, hash: PaymentHash) -> Result<Option<Incoming>, Misunderstood> {
        let found: Option<Incoming> = perhaps(&self.http, &format!("payments/incoming/{hash}")).await?;
        match found {
            Some(row) if row.payment_hash != hash => {
                Err(Misunderstood::Contradiction("an invoice that was not asked for"))
            }
            found => Ok(found),
        }
    }

    /// The best attempt to pay a hash: one that succeeded before one under way, before one that failed. `None` only where
    /// the node says that there was none.
    pub(super) async fn outgoing(&self, hash: PaymentHash) -> Result<Option<Outgoing>, Misunderstood> {
        let found: Option<Outgoing> = perhaps(&self.http, &format!("payments/outgoingbyhash/{hash}")).await?;
        match found {
            Some(row) if states::payment_hash(&row)? != hash => {
                Err(Misunderstood::Contradiction("a payment that was not asked for"))
            }
            found => Ok(found),
        }
    }

    /// What became of a payment. All that is not understood is "no answer".
    pub(super) async fn payment(&self, hash: PaymentHash, reason: Option<FailureReason>) -> Outcome {
        let found = self.outgoing(hash).await;
        let understood = found.and_then(|row| row.map(|row| states::payment(&row, reason)).transpose());
        match understood {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Outcome::Unknown(Doubt::NotFound),
            Err(why) => {
                tracing::debug!(error = %why, %hash, "a payment's state is not known");
                Outcome::Unknown(Doubt::NoAnswer)
            }
        }
    }

    /// A page of rows.
    pub(super) async fn rows<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Misunderstood> {
        read(&success(self.http.get(path, PAGE).await?)?)
    }
}

/// An answer that must be there.
async fn one<T: DeserializeOwned>(http: &Http, path: &str) -> Result<T, Misunderstood> {
    read(&success(http.get(path, ONE).await?)?)
}

/// An answer, or the word that there is none.
async fn perhaps<T: DeserializeOwned>(http: &Http, path: &str) -> Result<Option<T>, Misunderstood> {
    let reply = http.get(path, ONE).await?;
    if texts::is_not_known(reply.status.as_u16(), &reply.body) {
        return Ok(None);
    }
    read(&success(reply)?).map(Some)
}

/// The body of an answer that is one.
pub(super) fn success(reply: Reply) -> Result<Vec<u8>, Misunderstood> {
    match reply.status.as_u16() {
        OK => Ok(reply.body),
        UNAUTHORIZED => Err(Misunderstood::Password),
        other => Err(Misunderstood::Status(other)),
    }
}
