//! Amounts, fees, moments, spans and sizes as people type and read them.

use std::str::FromStr;
use std::time::Duration;

use poa_sdk::Timestamp;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use crate::failure::{Exit, Failure};

/// Millisatoshi in a satoshi.
const MSAT_PER_SAT: i64 = 1_000;
const KIB: u64 = 1_024;
/// Basis points in a per cent.
const BASIS_POINTS_PER_CENT: i32 = 100;
/// The contract's word for an account that has no fee of its own any more.
const NO_OWN_FEE: i32 = -1;

/// An amount from the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Without a unit: in thousandths of whatever the unit is.
    Bare { thousandths: i64 },
    /// With a unit.
    Msat(i64),
}

/// A fee from the command line, in basis points; -1 for none of an account's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fee(pub(crate) i32);

/// A moment from the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

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

// === impl Fee ===

impl FromStr for Fee {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a fee: expected such as 5%, 2.25%, 250bp or `default`");
        let lower = text.trim().to_ascii_lowercase();
        if lower == "default" {
            return Ok(Self(NO_OWN_FEE));
        }
        let points = if let Some(digits) = lower.strip_suffix("bp") {
            whole(digits)
        } else {
            let (whole_part, part) = lower
                .strip_suffix('%')
                .map(str::trim)
                .map(|digits| digits.split_once('.').unwrap_or((digits, "")))
                .ok_or_else(wrong)?;
            let part = (part.len() <= 2).then(|| whole(&format!("{part:0<2}"))).flatten();
            whole(whole_part)
                .and_then(|per_cent| per_cent.checked_mul(BASIS_POINTS_PER_CENT)?.checked_add(part?))
        };
        points.map(Self).ok_or_else(wrong)
    }
}

/// A number of digits alone: no sign, nothing between them.
fn whole(digits: &str) -> Option<i32> {
    let digits = digits.trim();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// A fee for people: `2.25 %`.
pub(crate) fn per_cent(basis_points: i32) -> String {
    let (whole, part) = (basis_points / BASIS_POINTS_PER_CENT, basis_points % BASIS_POINTS_PER_CENT);
    let fraction = if part == 0 { String::new() } else { format!(".{part:02}") };
    format!("{whole}{} %", fraction.trim_end_matches('0'))
}

// === impl Moment ===

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = format_description!("[year]-[month]-[day]");
        OffsetDateTime::parse(text, &Rfc3339)
            .or_else(|_| Date::parse(text, day).map(|date| date.midnight().assume_utc()))
            .map(Self)
            .map_err(|_| {
                format!(
                    "`{text}` is not a moment: expected such as 2026-12-01 (0:00 UTC) or 2026-12-01T09:30:00Z"
                )
            })
    }
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
    fn fees_are_per_cent_or_basis_points() {
        for (text, points) in
            [("5%", 500), ("2.5 %", 250), ("2.25%", 225), ("0%", 0), ("250bp", 250), ("default", -1)]
        {
            assert_eq!(text.parse(), Ok(Fee(points)), "{text}");
        }
        for text in ["", "5", "%", "-1%", "-1bp", "2.255%", "five%", "1e2bp", "99999999%"] {
            assert!(text.parse::<Fee>().is_err(), "{text}");
        }
        assert_eq!([500, 250, 225, 5, 0].map(per_cent), ["5 %", "2.5 %", "2.25 %", "0.05 %", "0 %"]);
    }

    #[test]
    fn a_moment_is_a_day_or_a_time() {
        let moment = |text: &str| text.parse::<Moment>().unwrap().0;
        assert_eq!(moment("2026-12-01"), moment("2026-12-01T00:00:00Z"));
        assert_eq!(moment("2026-12-01T01:00:00+01:00"), moment("2026-12-01"));
        for text in ["", "tomorrow", "2026-13-01", "2026-12-01 09:30"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
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
