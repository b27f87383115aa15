//! Any message of the contract as JSON for scripts.
//!
//! Fields have the contract's names, 64-bit numbers are decimal strings, times are RFC 3339 in UTC, spans are seconds with
//! `s`. For people's tools bytes are hexadecimal, enum values are without the prefix that their type gives them
//! (`OPEN`, not `STATE_OPEN`), and fields of no value are there too, so that a shape never changes with a value.

use std::sync::LazyLock;

use poa_common::Timestamp;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value,
};
use serde_json::Value as Json;

use crate::api::{attestation, auth, escrow, search, task};
use crate::times::rfc3339;

/// The contract, read from the descriptors once.
static CONTRACT: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(poa_proto::DESCRIPTORS).ok());

/// A message of the contract that is written as JSON.
pub trait ToJson: prost::Message + Sized {
    /// Its full name, such as `poa.task.v1.Task`.
    const NAME: &'static str;

    /// The message as JSON.
    fn to_json(&self) -> Json {
        let written = || {
            let descriptor = CONTRACT.as_ref()?.get_message_by_name(Self::NAME)?;
            let message = DynamicMessage::decode(descriptor, self.encode_to_vec().as_slice()).ok()?;
            Some(object(&message))
        };
        // The descriptors are made from the same contract as the message, so that there is always a description.
        written().unwrap_or(Json::Null)
    }
}

macro_rules! written {
    ($($module:ident: $($name:ident),*;)*) => {$($(
        impl ToJson for $module::$name {
            const NAME: &'static str = concat!("poa.", stringify!($module), ".v1.", stringify!($name));
        }
    )*)*

        #[cfg(test)]
        const NAMES: &[&str] = &[$($(<$module::$name as ToJson>::NAME),*),*];
    };
}

written! {
    auth: Account, Agent, AgentVersion, ApiKey, CreateApiKeyResponse, GetServerInfoResponse, KeyEvent;
    auth: RevokeAgentKeyResponse, RotateAgentKeyResponse;
    task: Task, OpenTask, ClosedTask;
    escrow: Balance, Deposit, Withdrawal, Escrow, LedgerEntry, EstimateFeesResponse, PayoutDestination;
    escrow: LedgerAudit, Reconciliation, PayoutSwitch, FeeSchedule;
    attestation: Attestation, GetInclusionProofResponse, GetConsistencyProofResponse, Reputation;
    search: AgentHit, Suggestion, ReindexResponse;
}

fn object(message: &DynamicMessage) -> Json {
    match message.descriptor().full_name() {
        "google.protobuf.Timestamp" => return moment(message),
        "google.protobuf.Duration" => return span(message),
        _ => {}
    }
    let present = |field: &FieldDescriptor| message.has_field(field) || !field.supports_presence();
    let descriptor = message.descriptor();
    let fields = descriptor.fields().filter(present);
    let written =
        |field: FieldDescriptor| (field.name().to_owned(), value(&message.get_field(&field), &field.kind()));
    Json::Object(fields.map(written).collect())
}

fn value(value: &Value, kind: &Kind) -> Json {
    match value {
        Value::Bool(it) => Json::Bool(*it),
        Value::I32(it) => Json::from(*it),
        Value::U32(it) => Json::from(*it),
        Value::I64(it) => Json::String(it.to_string()),
        Value::U64(it) => Json::String(it.to_string()),
        Value::F32(it) => Json::from(*it),
        Value::F64(it) => Json::from(*it),
        Value::String(it) => Json::String(it.clone()),
        Value::Bytes(it) => Json::String(hex::encode(it)),
        Value::EnumNumber(number) => {
            let named = kind.as_enum().and_then(|described| described.get_value(*number));
            named.map_or_else(|| Json::from(*number), |named| Json::String(short_name(kind, named.name())))
        }
        Value::Message(it) => object(it),
        Value::List(items) => items.iter().map(|item| self::value(item, kind)).collect(),
        Value::Map(entries) => {
            let kind = kind.as_message().map(|entry| entry.map_entry_value_field().kind());
            let written = |(name, item): (&MapKey, &Value)| {
                (key(name), kind.as_ref().map_or(Json::Null, |kind| self::value(item, kind)))
            };
            Json::Object(entries.iter().map(written).collect())
        }
    }
}

/// An enum value's name without its type's: `STATE_OPEN` of `State` as `OPEN`.
fn short_name(kind: &Kind, name: &str) -> String {
    let prefix = kind.as_enum().map(|described| screaming(described.name())).unwrap_or_default();
    name.strip_prefix(&prefix).unwrap_or(name).to_owned()
}

/// `ReleasePolicy` as `RELEASE_POLICY_`.
fn screaming(name: &str) -> String {
    let mut prefix = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(c.to_ascii_uppercase());
    }
    prefix.push('_');
    prefix
}

fn key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(it) => it.to_string(),
        MapKey::I32(it) => it.to_string(),
        MapKey::I64(it) => it.to_string(),
        MapKey::U32(it) => it.to_string(),
        MapKey::U64(it) => it.to_string(),
        MapKey::String(it) => it.clone(),
    }
}

fn parts(message: &DynamicMessage) -> (i64, i32) {
    let seconds = message.get_field_by_name("seconds").and_then(|it| it.as_i64()).unwrap_or(0);
    let nanos = message.get_field_by_name("nanos").and_then(|it| it.as_i32()).unwrap_or(0);
    (seconds, nanos)
}

fn moment(message: &DynamicMessage) -> Json {
    let (seconds, nanos) = parts(message);
    let whole = Timestamp::from_unix_timestamp(seconds);
    whole.map_or(Json::Null, |whole| {
        Json::String(rfc3339(whole + time::Duration::nanoseconds(i64::from(nanos))))
    })
}

fn span(message: &DynamicMessage) -> Json {
    let (seconds, nanos) = parts(message);
    if nanos == 0 {
        return Json::String(format!("{seconds}s"));
    }
    let fraction = format!("{:09}", nanos.unsigned_abs());
    Json::String(format!("{seconds}.{}s", fraction.trim_end_matches('0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::task::{Claim, Task};

    #[test]
    fn a_task_is_written_with_decimal_strings_hex_and_utc() {
        let task = Task {
            task_id: "task_1".to_owned(),
            state: 2,
            release_policy: 1,
            price_msat: 9_007_199_254_740_993,
            terms: vec![0xde, 0xad],
            claim: Some(Claim { claim_number: 1, ..Claim::default() }),
            create_time: Some(prost_types::Timestamp { seconds: 1_795_343_043, nanos: 0 }),
            ..Task::default()
        };
        let json = task.to_json();
        assert_eq!(json["task_id"], "task_1");
        assert_eq!(json["state"], "OPEN");
        assert_eq!(json["release_policy"], "ON_ATTESTATION");
        assert_eq!(json["price_msat"], "9007199254740993");
        assert_eq!(json["terms"], "dead");
        assert_eq!(json["claim"]["claim_number"], 1);
        assert_eq!(json["create_time"], "2026-11-22T10:24:03Z");
        assert_eq!(json["fee_msat"], "0", "a field of no value is there");
        assert_eq!(json["criteria"], Json::Array(Vec::new()));
        assert!(json.get("result").is_none(), "a message that is not set is not");
    }

    #[test]
    fn every_written_message_is_in_the_contract() {
        let contract = CONTRACT.as_ref().unwrap();
        for name in NAMES {
            assert!(contract.get_message_by_name(name).is_some(), "{name}");
        }
    }
}
