//! The story of what the platform owes: stated in the log, and proved to who is owed.

use poa_sdk::verify_balance_proof;

use crate::books::Effect;
use crate::market::{Market, insist, until};

/// Two statements of what is owed that began after this did; each proves the requester's part.
pub(crate) async fn proved(market: &Market) -> Result<Effect, String> {
    let mut seen = stated(market, None).await?;
    for _ in 0..2 {
        seen = stated(market, seen.as_deref()).await?;
    }
    Ok(Effect::default())
}

/// The snapshot of the newest statement, once it is another than this one.
async fn stated(market: &Market, before: Option<&str>) -> Result<Option<String>, String> {
    let snapshot = until("another statement of what is owed", async || {
        let asked = insist("a proof", async || market.requester.balance_proof().await).await;
        let proof = match asked {
            Err(error) if error.reason() == "RESOURCE_NOT_FOUND" => return Ok(None),
            asked => asked?,
        };
        let now = market.requester.client().env().now();
        let verified = verify_balance_proof(&proof.document, &market.trust_root, now)
            .map_err(|error| error.to_string())?;
        let snapshot = verified.snapshot.to_string();
        Ok((before != Some(snapshot.as_str())).then_some(snapshot))
    });
    Ok(Some(snapshot.await?))
}
