//! Amounts, spans and sizes as people type and read them.

use std::str::FromStr;
use std::time::Duration;

use crate::failure::{Exit, Failure};

/// Millisatoshi in a satoshi.
const MSAT_PER_SAT: i64 = 1_000;
const KIB: u64 = 1_024;

/// An amount from the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Without a unit: in thousandths of whatever the unit is.
    Bare { thousandths: i64 },
    /// With a unit.
    Msat(i64),
}

/// A span from the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// A size from the command line, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

// === impl Amount ===

impl Amount {
    /// The millisatoshi. Bare amounts are sats, or msat where `bare_msat` says so.
    pub(crate) fn msat(self, bare_msat: bool) -> Result<i64, Failure> {
        match self {
            Self::Msat(msat) => Ok(msat),
            Self::Bare { thousandths } if !bare_msat => Ok(thousandths),
            Self::Bare { thousandths } if thousandths % MSAT_PER_SAT == 0 => Ok(thousandths / MSAT_PER_SAT),
            Self::Bare { .. } => Err(Failure::new(Exit::Usage, "an amount in msat has no decimals")),
        }
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not an amount: expected such as 250, 1,000, 0.5, 250sat or 1500msat");
        let number = |digits: &str| thousandths(digits).ok_or_else(wrong);
        let lower = text.trim().to_ascii_lowercase();
        if let Some(digits) = lower.strip_suffix("msat") {
            let thousandths = number(digits)?;
            return if thousandths % MSAT_PER_SAT == 0 {
                Ok(Self::Msat(thousandths / MSAT_PER_SAT))
            } else {
                Err(wrong())
            };
        }
        if let Some(digits) = lower.strip_suffix("sats").or_else(|| lower.strip_suffix("sat")) {
            return number(digits).map(Self::Msat);
        }
        number(&lower).map(|thousandths| Self::Bare { thousandths })
    }
}

/// A decimal number with at most three places, in thousandths. `,` and `_` may group the digits.
fn thousandths(text: &str) -> Option<i64> {
    let text = text.trim().replace([',', '_'], "");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 3 || !digits(whole) || !digits(part) {
        return None;
    }
    let part: i64 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000)?.checked_add(part)
}

/// An amount for people: `1,234 sat`, with the rest of a sat as decimals.
pub(crate) fn sats(msat: i64) -> String {
    let (whole, rest) = (msat.unsigned_abs() / 1_000, msat.unsigned_abs() % 1_000);
    let sign = if msat < 0 { "-" } else { "" };
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:03}") };
    format!("{sign}{}{fraction} sat", grouped(whole))
}

/// The same with a sign, for movements.
pub(crate) fn signed_sats(msat: i64) -> String {
    if msat > 0 { format!("+{}", sats(msat)) } else { sats(msat) }
}

/// Digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    format!("{} bytes", grouped(count))
}

// === impl Span ===

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a span: expected such as 90s, 5m, 2h or 7d");
        let (digits, unit) = split_unit(text);
        let seconds: u64 = match unit.as_str() {
            "" | "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        count.checked_mul(seconds).map(|seconds| Self(Duration::from_secs(seconds))).ok_or_else(wrong)
    }
}

// === impl Size ===

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size: expected such as 512, 64KiB or 1MiB");
        let (digits, unit) = split_unit(text);
        let factor = match unit.as_str() {
            "" | "b" => 1,
            "k" | "kib" => KIB,
            "kb" => 1_000,
            "m" | "mib" => KIB * KIB,
            "mb" => 1_000_000,
            _ => return Err(wrong()),
        };
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        count.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

fn split_unit(text: &str) -> (&str, String) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    (digits, unit.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_sats_unless_they_say_otherwise() {
        for (text, bare_msat, msat) in [
            ("250", false, 250_000),
            ("250", true, 250),
            ("1,000", false, 1_000_000),
            ("1_000_000", false, 1_000_000_000),
            ("0.5", false, 500),
            ("1.234", false, 1_234),
            ("1500msat", false, 1_500),
            ("1500 msat", true, 1_500),
            ("3 sats", true, 3_000),
            ("3sat", false, 3_000),
        ] {
            assert_eq!(text.parse::<Amount>().unwrap().msat(bare_msat).unwrap(), msat, "{text}");
        }
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for text in ["", "-5", "1.2345", "1.5msat", "five", "1e3", "5btc", ".5", "99999999999999999999"] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
        assert!("0.5".parse::<Amount>().unwrap().msat(true).is_err());
    }

    #[test]
    fn amounts_are_shown_with_thousands_separators() {
        for (msat, text) in [
            (0, "0 sat"),
            (1, "0.001 sat"),
            (999_000, "999 sat"),
            (1_000_000, "1,000 sat"),
            (-1_234_567_890, "-1,234,567.890 sat"),
            (i64::MIN, "-9,223,372,036,854,775.808 sat"),
        ] {
            assert_eq!(sats(msat), text);
        }
        assert_eq!(signed_sats(5_000), "+5 sat");
    }

    #[test]
    fn spans_and_sizes_take_units() {
        assert_eq!("90".parse::<Span>().unwrap().0, Duration::from_secs(90));
        assert_eq!("5m".parse::<Span>().unwrap().0, Duration::from_secs(300));
        assert_eq!("7d".parse::<Span>().unwrap().0, Duration::from_secs(604_800));
        assert_eq!("128KiB".parse::<Size>().unwrap().0, 131_072);
        assert_eq!("512".parse::<Size>().unwrap().0, 512);
        for text in ["", "m", "5 weeks", "-1s", "99999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
