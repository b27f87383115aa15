//! Figures: conversions that cannot lose a digit unseen, medians, intervals and ratios.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What several rounds say of one figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// The median of the rounds.
    pub(crate) median: f64,
    /// The lower end of the 95 % interval of the median.
    pub(crate) low: f64,
    /// The upper end of the 95 % interval of the median.
    pub(crate) high: f64,
}

/// A count as a floating-point number; exact up to 2^53, far above any count here.
pub(crate) fn float(count: u64) -> f64 {
    const TWO_TO_32: f64 = 4_294_967_296.0;
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * TWO_TO_32 + f64::from(low)
}

/// How many in a second.
pub(crate) fn per_second(count: u64, took: Duration) -> f64 {
    ratio(float(count), took.as_secs_f64())
}

/// `of / to`, and 0 where there is nothing to compare with.
pub(crate) fn ratio(of: f64, to: f64) -> f64 {
    if to > 0.0 { of / to } else { 0.0 }
}

/// The median and its interval. Without values all three are 0.
pub(crate) fn spread(values: &[f64]) -> Spread {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    let outside = outside(count);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
    let upper = at(count / 2);
    let median =
        if count.is_multiple_of(2) { f64::midpoint(at((count / 2).saturating_sub(1)), upper) } else { upper };
    Spread { median, low: at(outside), high: at(count.saturating_sub(outside + 1)) }
}

/// How many of the sorted values lie outside of the median's interval at either end: a binomial count, free of any
/// assumption on how the figures are distributed. Up to five rounds the interval is the whole range (93.75 % for five).
fn outside(count: usize) -> usize {
    let tosses = u32::try_from(count).unwrap_or(u32::MAX).min(1_000);
    let all = 2.0_f64.powi(i32::try_from(tosses).unwrap_or(i32::MAX));
    let (mut below, mut choose, mut outside) = (0.0, 1.0, 0);
    for taken in 0..tosses {
        below += choose;
        if 2.0 * below / all > 0.05 {
            break;
        }
        outside = taken;
        choose = choose * f64::from(tosses - taken) / f64::from(taken + 1);
    }
    usize::try_from(outside).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_above_32_bits_stay_exact() {
        assert_eq!(float(3), 3.0);
        assert_eq!(float((1 << 40) + 5), 1_099_511_627_781.0);
    }

    #[test]
    fn the_interval_of_five_rounds_is_their_range_and_that_of_ten_leaves_out_the_outermost() {
        let five = spread(&[5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(five, Spread { median: 3.0, low: 1.0, high: 5.0 });
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(spread(&ten), Spread { median: 5.5, low: 2.0, high: 9.0 });
    }

    #[test]
    fn nothing_measured_is_zero_and_not_a_panic() {
        assert_eq!(spread(&[]), Spread { median: 0.0, low: 0.0, high: 0.0 });
        assert_eq!(ratio(1.0, 0.0), 0.0);
    }
}
