//! Answers that no phoenixd gives: no panic, no end made of a doubt, and no amount that cannot be.

use std::time::Duration;

use poa_common::{Msat, Timestamp};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::answers::{Funds, Incoming, Made, NodeInfo, NotPaid, Outgoing, read};
use super::{states, texts};
use crate::{InvoiceState, Outcome, Preimage};

const MARGIN: Duration = Duration::from_secs(600);

fn preimage() -> Preimage {
    Preimage::new([7; 32])
}

fn now() -> Timestamp {
    Timestamp::from_unix_timestamp(1_800_000_000).unwrap()
}

/// What may stand in a field: the right thing, numbers at the edges, other types, nothing at all.
fn value() -> impl Strategy<Value = Option<Value>> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..2_000_000_000_000_u64).prop_map(Value::from),
        (0..9_000_i64).prop_map(Value::from),
    ];
    let text = prop_oneof![
        Just(preimage().to_hex()),
        Just(preimage().hash().to_hex()),
        Just("lightning".to_owned()),
        Just("mainnet".to_owned()),
        Just("02".repeat(33)),
        "\\PC{0,70}",
    ];
    prop_oneof![
        2 => Just(None),
        3 => any::<bool>().prop_map(|value| Some(json!(value))),
        4 => number.prop_map(Some),
        4 => text.prop_map(|text| Some(json!(text))),
        1 => Just(Some(Value::Null)),
        1 => Just(Some(json!([{"state": "Normal"}]))),
        1 => Just(Some(json!({"a": [1, null]}))),
    ]
}

/// An object with these fields, where one in so many is not what it should be.
fn object(right: Value) -> impl Strategy<Value = Value> {
    let fields: Vec<(String, Value)> = right.as_object().unwrap().clone().into_iter().collect();
    let spoiled =
        proptest::collection::vec(prop_oneof![3 => Just(None), 1 => value().prop_map(Some)], fields.len());
    spoiled.prop_map(move |spoiled| {
        let mut object = Map::new();
        for ((name, right), spoiled) in fields.iter().zip(spoiled) {
            match spoiled {
                None => drop(object.insert(name.clone(), right.clone())),
                Some(Some(wrong)) => drop(object.insert(name.clone(), wrong)),
                Some(None) => {}
            }
        }
        object.insert("aFieldOfLater".to_owned(), json!({"x": [1]}));
        Value::Object(object)
    })
}

fn outgoing() -> impl Strategy<Value = Value> {
    let row = |paid: bool, completed: Value, preimage: Value| {
        json!({
            "subType": "lightning", "paymentId": "x", "paymentHash": self::preimage().hash().to_hex(),
            "preimage": preimage, "isPaid": paid, "sent": 10_044, "fees": 44_000, "completedAt": completed, "createdAt": 5,
        })
    };
    prop_oneof![
        object(row(true, json!(6), json!(preimage().to_hex()))),
        object(row(false, json!(6), Value::Null)),
        object(row(false, Value::Null, Value::Null)),
    ]
}

fn incoming() -> impl Strategy<Value = Value> {
    let row = |paid: bool, completed: Value, expires: u64| {
        json!({
            "paymentHash": preimage().hash().to_hex(), "preimage": preimage().to_hex(), "isPaid": paid,
            "isExpired": true, "receivedSat": 10_000, "fees": 0, "expiresAt": expires, "completedAt": completed,
            "createdAt": 5,
        })
    };
    let long_ago = 1_000_000_000_000;
    prop_oneof![
        object(row(true, json!(6), long_ago)),
        object(row(false, Value::Null, long_ago)),
        object(row(false, Value::Null, 1_800_000_000_000)),
    ]
}

fn can_be(amount: Msat) -> bool {
    !amount.is_negative() && amount <= Msat::SUPPLY
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_payment_ends_only_by_what_phoenixd_says_of_an_end(row in outgoing()) {
        let text = serde_json::to_vec(&row).unwrap();
        let Ok(parsed) = read::<Outgoing>(&text) else { return Ok(()) };
        if let Ok(amount) = states::amount(&parsed) {
            prop_assert!(can_be(amount));
        }
        match states::payment(&parsed, None) {
            Ok(Outcome::Failed(_)) => {
                prop_assert_eq!(&row["isPaid"], &json!(false));
                prop_assert!(row["completedAt"].is_u64() && row.get("preimage").is_none_or(Value::is_null));
            }
            Ok(Outcome::Settled { preimage: shown, fee }) => {
                prop_assert_eq!(shown.hash().to_hex(), row["paymentHash"].as_str().unwrap().to_lowercase());
                prop_assert!(row["isPaid"] == json!(true) && can_be(fee));
            }
            Ok(Outcome::InFlight) => prop_assert_eq!(&row["isPaid"], &json!(false)),
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(_) => {}
        }
    }

    #[test]
    fn an_invoice_ends_only_by_what_phoenixd_says_of_an_end(row in incoming()) {
        let text = serde_json::to_vec(&row).unwrap();
        let Ok(parsed) = read::<Incoming>(&text) else { return Ok(()) };
        match states::invoice(&parsed, now(), MARGIN) {
            Ok(InvoiceState::Canceled) => {
                prop_assert_eq!(&row["isPaid"], &json!(false));
                prop_assert_eq!(&row["isExpired"], &json!(true));
                prop_assert!(row["expiresAt"].as_u64().is_some_and(|at| at <= 1_800_000_000_000 - 600_000));
            }
            Ok(InvoiceState::Settled { paid, preimage: shown, .. }) => {
                prop_assert!(row["isPaid"] == json!(true) && can_be(paid));
                prop_assert_eq!(shown.unwrap().hash().to_hex(), row["paymentHash"].as_str().unwrap().to_lowercase());
            }
            Ok(InvoiceState::Open) => prop_assert_eq!(&row["isPaid"], &json!(false)),
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(_) => {}
        }
    }

    #[test]
    fn a_node_says_who_it_is_or_nothing(
        row in object(json!({
            "nodeId": format!("02{}", "11".repeat(32)), "channels": [], "chain": "mainnet", "blockHeight": 800_000,
        })),
    ) {
        let text = serde_json::to_vec(&row).unwrap();
        let Ok(parsed) = read::<NodeInfo>(&text) else { return Ok(()) };
        let _whole = states::is_whole(&parsed);
        if let Ok(info) = states::info(&parsed) {
            prop_assert_eq!(info.synced, info.height > 0 || row["blockHeight"] == json!(0));
        }
    }

    #[test]
    fn bytes_are_read_or_not_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), status: u16) {
        let _ = (read::<Outgoing>(&bytes).is_ok(), read::<Incoming>(&bytes).is_ok(), read::<NodeInfo>(&bytes).is_ok());
        let _ = (read::<Made>(&bytes).is_ok(), read::<NotPaid>(&bytes).is_ok());
        if let Ok(funds) = read::<Funds>(&bytes) {
            let _ = states::funds(&funds).is_ok();
        }
        prop_assert_eq!(texts::is_not_known(status, &bytes), status == 404 && bytes == b"Not found");
    }

    #[test]
    fn funds_are_within_all_bitcoin(balance: u64, credit: u64) {
        let answer = json!({"balanceSat": balance, "feeCreditSat": credit}).to_string();
        let funds = states::funds(&read::<Funds>(answer.as_bytes()).unwrap());
        let most = 21_000_000 * 100_000_000_u64;
        prop_assert_eq!(funds.is_ok(), balance <= most && credit <= most);
        if let Ok((spendable, fee_credit)) = funds {
            prop_assert!(can_be(spendable) && can_be(fee_credit));
        }
    }

    #[test]
    fn what_is_not_understood_says_nothing_of_the_body(secret in "[a-z]{12,30}") {
        let body = format!(r#"{{"paymentHash": "{secret}", "isPaid": "{secret}"}}"#);
        let error = read::<Outgoing>(body.as_bytes()).err().unwrap();
        let said = format!("{error} {error:?}");
        prop_assert!(!said.contains(&secret));
    }
}

#[test]
fn the_fee_is_four_sats_and_four_per_mille() {
    assert_eq!(states::fee(Msat::new(1_000)), Some(Msat::new(4_004)));
    assert_eq!(states::fee(Msat::new(50_000_000)), Some(Msat::new(204_000)));
    assert!(states::fee(Msat::SUPPLY).is_some_and(|fee| fee < Msat::SUPPLY));
}
