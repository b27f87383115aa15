//! Rate limits by cost, per IP address and per account: token buckets in this process.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use poa_chassis::{Error, Held, OpenCounts};
use poa_common::AccountId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::{Open, Rates};

/// How often buckets that are full again are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

type Buckets<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock>;

/// The buckets of the edge.
pub(crate) struct Limiter {
    addresses: Buckets<IpAddr>,
    accounts: Buckets<AccountId>,
    clock: DefaultClock,
    calls: OpenCounts<IpAddr>,
    streams: OpenCounts<AccountId>,
    /// Of all callers together.
    all_calls: Arc<Semaphore>,
    all_streams: Arc<Semaphore>,
    open: Open,
}

/// One of what a caller may hold, and of what all together may; dropping it gives both back.
#[derive(Debug)]
pub(crate) struct Place<K: Eq + std::hash::Hash> {
    /// None for a caller inside of this process.
    _own: Option<Held<K>>,
    _total: OwnedSemaphorePermit,
}

/// When to try again for a caller who has too much open.
const OPEN_RETRY: Duration = Duration::from_millis(500);

// === impl Limiter ===

impl Limiter {
    pub(crate) fn new(rates: &Rates, open: &Open) -> Result<Self, String> {
        let quota = |name: &str, per_second: u32, burst: u32| {
            let per_second =
                NonZeroU32::new(per_second).ok_or_else(|| format!("rates.{name} must be above 0"))?;
            let burst =
                NonZeroU32::new(burst).ok_or_else(|| format!("the burst of rates.{name} must be above 0"))?;
            Ok::<_, String>(Quota::per_second(per_second).allow_burst(burst))
        };
        Ok(Self {
            addresses: RateLimiter::dashmap(quota("per_ip", rates.per_ip, rates.ip_burst)?),
            accounts: RateLimiter::dashmap(quota("per_account", rates.per_account, rates.account_burst)?),
            clock: DefaultClock::default(),
            calls: OpenCounts::new(),
            streams: OpenCounts::new(),
            all_calls: places(open.calls),
            all_streams: places(open.streams),
            open: open.clone(),
        })
    }

    /// Takes a method's cost from the bucket of an address. A caller inside of this process has none.
    pub(crate) fn charge_address(&self, address: Option<IpAddr>, cost: u32) -> Result<(), Error> {
        match address {
            Some(address) => charge(&self.addresses, &grouped(address), cost, &self.clock),
            None => Ok(()),
        }
    }

    /// Counts a call of an address until the guard is dropped. A caller inside of this process has none.
    pub(crate) fn hold_call(&self, address: Option<IpAddr>) -> Result<Place<IpAddr>, Error> {
        let own = match address {
            Some(address) => Some(hold(&self.calls, grouped(address), self.open.calls_per_ip)?),
            None => None,
        };
        Ok(Place { _own: own, _total: one_of(&self.all_calls)? })
    }

    /// Counts a stream of an account until the guard is dropped.
    pub(crate) fn hold_stream(&self, account: AccountId) -> Result<Place<AccountId>, Error> {
        let own = hold(&self.streams, account, self.open.streams_per_account)?;
        Ok(Place { _own: Some(own), _total: one_of(&self.all_streams)? })
    }

    /// Takes a method's cost from the bucket of an account.
    pub(crate) fn charge_account(&self, account: AccountId, cost: u32) -> Result<(), Error> {
        charge(&self.accounts, &account, cost, &self.clock)
    }

    /// Forgets full buckets now and then, so that many callers do not fill the memory.
    pub(crate) async fn sweep(self: Arc<Self>, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {
                    self.addresses.retain_recent();
                    self.accounts.retain_recent();
                }
                () = stopping.cancelled() => return,
            }
        }
    }
}

fn places(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
}

/// One of what is there for all.
fn one_of(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(places).try_acquire_owned().map_err(|_none_is_left| Error::Overloaded)
}

/// One of a caller's own.
fn hold<K: std::hash::Hash + Eq + Clone>(
    counts: &OpenCounts<K>,
    key: K,
    limit: usize,
) -> Result<Held<K>, Error> {
    counts.hold(key, limit).ok_or(Error::RateLimited { retry_after: OPEN_RETRY })
}

fn charge<K: std::hash::Hash + Eq + Clone>(
    buckets: &Buckets<K>,
    key: &K,
    cost: u32,
    clock: &DefaultClock,
) -> Result<(), Error> {
    let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
    match buckets.check_key_n(key, cost) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(until)) => Err(Error::RateLimited { retry_after: until.wait_time_from(clock.now()) }),
        // A cost above the whole burst would wait for ever: the operator set the burst too low.
        Err(_too_small) => Err(Error::RateLimited { retry_after: SWEEP_EVERY }),
    }
}

/// An IPv6 customer owns a /64 at least: all of it is one caller.
fn grouped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) & (u128::MAX << 64)).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Limiter {
        let rates = Rates { per_ip: 1, ip_burst: 10, per_account: 1, account_burst: 10 };
        Limiter::new(&rates, &Open::default()).unwrap()
    }

    #[test]
    fn a_caller_beyond_its_burst_is_told_when_to_come_back_and_others_are_not_touched() {
        let limiter = limiter();
        let one = Some(IpAddr::from([10, 0, 0, 1]));
        assert!(limiter.charge_address(one, 10).is_ok());
        let Err(Error::RateLimited { retry_after }) = limiter.charge_address(one, 5) else {
            panic!("no limit")
        };
        assert!(retry_after > Duration::from_secs(3) && retry_after <= Duration::from_secs(5));
        assert!(limiter.charge_address(Some(IpAddr::from([10, 0, 0, 2])), 10).is_ok());
    }

    #[test]
    fn all_callers_together_hold_so_much_and_one_at_its_own_limit_hears_of_that() {
        let open = Open { calls_per_ip: 1, calls: 2, streams: 1, ..Open::default() };
        let limiter = Limiter::new(&Rates::default(), &open).unwrap();
        let of = |last| Some(IpAddr::from([10, 0, 0, last]));
        let first = limiter.hold_call(of(1)).unwrap();
        assert!(matches!(limiter.hold_call(of(1)), Err(Error::RateLimited { .. })));
        let _inside = limiter.hold_call(None).unwrap();
        assert!(matches!(limiter.hold_call(of(2)), Err(Error::Overloaded)));
        let account = || poa_chassis::system_env().new_id::<AccountId>();
        let _stream = limiter.hold_stream(account()).unwrap();
        assert!(matches!(limiter.hold_stream(account()), Err(Error::Overloaded)));
        drop(first);
        assert!(limiter.hold_call(of(2)).is_ok(), "a refusal took nothing");
    }

    #[test]
    fn a_whole_ipv6_network_is_one_caller_and_a_mapped_address_is_its_ipv4_self() {
        assert_eq!(grouped("2001:db8::1".parse().unwrap()), grouped("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(grouped("2001:db8::1".parse().unwrap()), grouped("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(grouped("::ffff:10.0.0.1".parse().unwrap()), IpAddr::from([10, 0, 0, 1]));
    }

    #[test]
    fn a_cost_above_the_burst_is_refused_and_does_not_panic() {
        assert!(limiter().charge_address(Some(IpAddr::from([10, 0, 0, 3])), 50).is_err());
    }
}
