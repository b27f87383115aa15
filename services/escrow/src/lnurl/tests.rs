//! What hosts say, from good to hostile.

use poa_common::Msat;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::answers::{invoice, offer};
use super::{AddressProblem, Offer};

const HOST: &str = "pay.example";
const METADATA: &str = r#"[["text/plain","sats for alice"]]"#;

fn good() -> Value {
    json!({
        "tag": "payRequest",
        "callback": "https://pay.example/cb?k=1#x",
        "minSendable": 1_000,
        "maxSendable": 50_000,
        "metadata": METADATA,
        "commentAllowed": 255,
    })
}

fn read(said: &Value) -> Result<Offer, AddressProblem> {
    offer(HOST, 200, Some(said.to_string().as_bytes()))
}

fn with(key: &str, value: Value) -> Value {
    let mut said = good();
    said[key] = value;
    said
}

#[test]
fn a_good_offer_is_asked_for_an_amount_within_its_bounds() {
    let offer = read(&good()).unwrap();
    let url = offer.callback(Msat::new(1_000)).unwrap();
    assert_eq!(url.as_str(), "https://pay.example/cb?k=1&amount=1000");
    let bounds = AddressProblem::OutOfBounds { min: Msat::new(1_000), max: Msat::new(50_000) };
    assert_eq!(offer.callback(Msat::new(999)), Err(bounds));
    assert_eq!(offer.callback(Msat::new(50_001)), Err(bounds));
    assert!(offer.callback(Msat::new(50_000)).is_ok());
}

#[test]
fn a_description_hash_is_the_digest_of_the_metadata_or_absent() {
    let offer = read(&good()).unwrap();
    assert!(offer.describes(Some(Sha256::digest(METADATA).into())));
    assert!(offer.describes(None));
    assert!(!offer.describes(Some([7; 32])));
}

#[test]
fn a_callback_leads_to_the_same_host_and_nowhere_else() {
    for callback in [
        "https://other.example/cb",
        "https://sub.pay.example/cb",
        "https://pay.example.evil.example/cb",
        "https://pay.example:8443/cb",
        "https://127.0.0.1/cb",
        "https://[::1]/cb",
    ] {
        assert_eq!(read(&with("callback", json!(callback))), Err(AddressProblem::OtherHost), "{callback}");
    }
    for callback in [
        "http://pay.example/cb",
        "https://user:secret@pay.example/cb",
        "https://pay.example@evil.example/cb",
        "//pay.example/cb",
        "/cb",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "",
    ] {
        assert_eq!(read(&with("callback", json!(callback))), Err(AddressProblem::BadAnswer), "{callback}");
    }
    let long = format!("https://pay.example/{}", "a".repeat(2_048));
    assert_eq!(read(&with("callback", json!(long))), Err(AddressProblem::BadAnswer));
    // The same host in other words.
    for callback in ["https://PAY.example/cb", "https://pay.example:443/cb"] {
        assert!(read(&with("callback", json!(callback))).is_ok(), "{callback}");
    }
}

#[test]
fn whatever_is_not_as_the_protocol_says_is_a_bad_answer() {
    for (key, value) in [
        ("tag", json!("withdrawRequest")),
        ("tag", json!(1)),
        ("minSendable", json!(0)),
        ("minSendable", json!(-1)),
        ("minSendable", json!(1.5)),
        ("minSendable", json!("1000")),
        ("minSendable", json!(50_001)),
        ("maxSendable", json!(u64::MAX)),
        ("maxSendable", json!(1e300)),
        ("metadata", json!(["text/plain"])),
        ("metadata", json!(null)),
        ("callback", json!(null)),
    ] {
        assert_eq!(read(&with(key, value.clone())), Err(AddressProblem::BadAnswer), "{key}: {value}");
    }
    let deep = "[".repeat(100_000);
    for body in ["", "null", "[]", "{}", "{", "\u{0}", r#"{"tag":"payRequest","tag":"payRequest"}"#, &deep] {
        assert_eq!(offer(HOST, 200, Some(body.as_bytes())), Err(AddressProblem::BadAnswer));
        assert_eq!(invoice(200, Some(body.as_bytes())), Err(AddressProblem::BadAnswer));
    }
    assert_eq!(offer(HOST, 200, None), Err(AddressProblem::BadAnswer));
}

#[test]
fn an_error_is_one_with_any_status_of_http() {
    for status in [200, 400, 500] {
        for body in [r#"{"status":"ERROR","reason":"no"}"#, r#"{"status":"error"}"#] {
            assert_eq!(offer(HOST, status, Some(body.as_bytes())), Err(AddressProblem::NoSuchName));
            assert_eq!(invoice(status, Some(body.as_bytes())), Err(AddressProblem::HostRefused));
        }
    }
    assert_eq!(offer(HOST, 404, None), Err(AddressProblem::NoSuchName));
    assert_eq!(invoice(500, None), Err(AddressProblem::HostRefused));
    // Marked as good, as some do.
    assert!(read(&with("status", json!("OK"))).is_ok());
    assert_eq!(invoice(200, Some(br#"{"pr":"lnbc1","routes":[]}"#)), Ok("lnbc1".to_owned()));
}

/// JSON of any shape, with the protocol's own keys among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!("payRequest")),
        Just(json!("https://pay.example/cb")),
        Just(json!("https://evil.example/cb")),
        Just(json!("ERROR")),
    ];
    let key = prop_oneof![
        Just("tag".to_owned()),
        Just("callback".to_owned()),
        Just("minSendable".to_owned()),
        Just("maxSendable".to_owned()),
        Just("metadata".to_owned()),
        Just("status".to_owned()),
        Just("pr".to_owned()),
        "\\PC{0,8}",
    ];
    leaf.prop_recursive(3, 32, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512), status in 100u16..600) {
        let _refused = offer(HOST, status, Some(&bytes));
        let _refused = invoice(status, Some(&bytes));
    }

    #[test]
    fn whatever_json_says_only_the_host_itself_is_called_and_only_within_the_bounds(
        said in any_json(),
        mixed in any_json(),
        key in prop::sample::select(vec!["tag", "callback", "minSendable", "maxSendable", "metadata"]),
        amount in any::<i64>(),
    ) {
        for said in [said, with(key, mixed)] {
            if let Ok(offer) = read(&said)
                && let Ok(url) = offer.callback(Msat::new(amount))
            {
                prop_assert_eq!((url.scheme(), url.domain(), url.port()), ("https", Some(HOST), None));
                prop_assert!(url.username().is_empty() && url.password().is_none());
                let asked = url.query_pairs().last().map(|(_, value)| value.into_owned());
                prop_assert_eq!(asked, Some(amount.to_string()));
                prop_assert!(amount >= 1 && Msat::new(amount) <= offer.max());
            }
        }
    }
}
