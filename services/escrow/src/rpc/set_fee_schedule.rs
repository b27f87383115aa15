//! SetFeeSchedule.

use std::time::Duration;

use poa_chassis::validate;
use poa_common::{AccountId, Violations};
use poa_proto::escrow::v1::{SetFeeScheduleRequest, SetFeeScheduleResponse};
use tonic::Request;

use super::convert;
use crate::domain::fee::BasisPoints;
use crate::error::Error;
use crate::service::Service;
use crate::store::fees::{self, Outcome};

/// How far ahead a fee may be set: more is a slip of the pen.
const HORIZON: Duration = Duration::from_secs(5 * 366 * 24 * 3_600);

pub(super) async fn handle(
    service: &Service,
    request: Request<SetFeeScheduleRequest>,
) -> Result<SetFeeScheduleResponse, Error> {
    let message = request.into_inner();
    validate(&message)?;
    let mut wrong = Violations::default();
    let account: Option<AccountId> =
        if message.account_id.is_empty() { None } else { wrong.parse("account_id", &message.account_id) };
    let fee = match message.fee_basis_points.unwrap_or_default() {
        convert::FEE_ENDS if message.account_id.is_empty() => {
            wrong.add("fee_basis_points", "everybody's fee does not end: set another one");
            None
        }
        convert::FEE_ENDS => None,
        // The contract has it given, and bounded.
        points => u32::try_from(points).ok().and_then(|points| BasisPoints::try_from(points).ok()),
    };
    let now = service.env.now();
    let start = message.start_time.map(|start| convert::moment("start_time", start)).transpose()?;
    if start.is_some_and(|start| start > now + HORIZON) {
        wrong.add("start_time", "is more than five years ahead");
    }
    convert::refuse(wrong.into_vec())?;
    match fees::set(&service.db, account, fee, start, now).await? {
        Outcome::Set(schedule) => {
            tracing::info!(
                account_id = schedule.account.map(|id| id.to_string()).unwrap_or_default(),
                fee_basis_points = schedule.fee.map(BasisPoints::get),
                start_time = %schedule.start,
                "a fee is set"
            );
            Ok(SetFeeScheduleResponse { schedule: Some(convert::fee_schedule(&schedule)) })
        }
        Outcome::Started => Err(Error::FeeStarted),
        Outcome::Past => Err(Error::field("start_time", "lies in the past")),
    }
}
