//! The simulated node's own file: what it paid, by its word alone.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// What stands before the payload of a line: a checksum and a space.
const PREFIX_BYTES: usize = 17;

/// Every payment that the node made, by its hash: amount and fee, in msat.
///
/// # Panics
/// Where the file is not a journal, or has paid a hash twice.
pub(crate) fn payments(journal: &Path) -> BTreeMap<String, i64> {
    let text = std::fs::read_to_string(journal).expect("the node's journal");
    let (mut amounts, mut paid) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines().skip(1) {
        // The last line may be torn by a kill: the node drops it too.
        let Some(payload) = line.get(PREFIX_BYTES..) else { continue };
        let Ok(Value::Array(records)) = serde_json::from_str(payload) else { continue };
        for record in records {
            if let Some(sent) = record.get("dispatched") {
                let amount = number(&sent["row"]["amount"]);
                assert!(amounts.insert(hash(sent), amount).is_none(), "dispatched twice: {record}");
            }
            if let Some(arrived) = record.get("paid") {
                let hash = hash(arrived);
                let amount = amounts.get(&hash).copied().expect("a payment was dispatched before it arrives");
                let sum = amount + number(&arrived["fee"]);
                assert!(paid.insert(hash, sum).is_none(), "paid twice: {record}");
            }
        }
    }
    paid
}

fn hash(record: &Value) -> String {
    record["hash"].to_string()
}

fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).expect("an amount in msat")
}
