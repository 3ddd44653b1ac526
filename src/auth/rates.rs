//! How often each caller may ask: a bucket of requests that fills steadily and holds what five seconds bring. Who is held
//! back is told when to come again. Strangers, who show no key that is known, are counted by address: a good key
//! is let in whatever others from there have tried.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;

use super::caller::Who;
use super::failures::neighbourhood;

/// What a bucket holds is what so many seconds bring.
pub const WINDOW_S: u32 = 5;
const WINDOW: Duration = Duration::from_secs(WINDOW_S as u64);
/// Buckets that are remembered; beyond, that which was used longest ago is forgotten, which is to be full again. All keys have
/// room for both of theirs.
const BUCKETS_MAX: NonZeroUsize = NonZeroUsize::new(32_768).expect("it is not 0");

/// It takes so many viewers of a key to use up what all of them have.
const VIEWERS_AT_LEAST: u32 = 20;

/// Requests a second; 0 is without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one caller, but appends.
    pub requests_per_s: u32,
    /// Appends of one caller.
    pub appends_per_s: u32,
    /// Of strangers at one address.
    pub strangers_per_s: u32,
    /// Of all viewers that one key made, together: each has a bucket of its own, and a key makes as many viewers as it likes.
    pub viewers_per_s: u32,
}

impl Default for Limits {
    /// Far above what a person or a poller needs, and below what takes the machine from the others.
    fn default() -> Limits {
        Limits { requests_per_s: 1_000, appends_per_s: 20_000, strangers_per_s: 50, viewers_per_s: 2_000 }
    }
}

impl Limits {
    /// Requests a second of one viewer: few cannot use up what all of their maker's have.
    fn viewer_per_s(&self) -> u32 {
        let share = (self.viewers_per_s / VIEWERS_AT_LEAST).max(u32::from(self.viewers_per_s > 0));
        [self.requests_per_s, share].into_iter().filter(|per_s| *per_s > 0).min().unwrap_or(0)
    }
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Appends: senders of single events need many.
    Appends,
    /// All else.
    Requests,
}

/// Whose bucket it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Key(Arc<str>, Measure),
    Viewer(Arc<str>, Measure),
    /// All viewers of this key.
    ViewersOf(Arc<str>),
    Person(Arc<str>, Measure),
    /// `None` for a connection without an address.
    Strangers(Option<IpAddr>, Stranger),
}

/// What strangers do; each is counted for itself, so that wrong keys do not keep others from signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stranger {
    /// Show a key that is not known, here or on the page.
    WrongKey,
    /// Begin to sign in with a provider.
    Begins,
}

/// How a caller stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that a full bucket holds.
    pub quota: u32,
    /// Requests that are left.
    pub left: u32,
    /// In so many seconds the bucket is full.
    pub full_after_s: u64,
    /// Set for who has to wait: seconds until there is room for one request.
    pub wait_s: Option<u64>,
}

/// The buckets of all callers.
pub struct Rates {
    limits: Limits,
    /// When each bucket is full again. Held to take one request out.
    full_at: Mutex<LruCache<Holder, Instant>>,
    held_back: [AtomicU64; 2],
}

impl Default for Rates {
    fn default() -> Rates {
        Rates::new(Limits::default())
    }
}

impl Rates {
    /// With these limits.
    pub fn new(limits: Limits) -> Rates {
        Rates { limits, full_at: Mutex::new(super::table(BUCKETS_MAX)), held_back: Default::default() }
    }

    /// Takes one request out of the caller's bucket, a viewer's also out of that of all viewers of its maker; `None` for who is not
    /// counted. What comes back is how the caller stands, or what holds it back.
    pub fn take(&self, who: &Who, measure: Measure, now: Instant) -> Option<Standing> {
        let Limits { requests_per_s, appends_per_s, .. } = self.limits;
        let (holder, requests_per_s) = match who {
            Who::Key { id, .. } => (Holder::Key(id.clone(), measure), requests_per_s),
            Who::Viewer { id, .. } => (Holder::Viewer(id.clone(), measure), self.limits.viewer_per_s()),
            Who::Person { id, .. } => (Holder::Person(id.clone(), measure), requests_per_s),
            Who::Nobody | Who::Anyone => return None,
        };
        let per_s = match measure {
            Measure::Appends => appends_per_s,
            Measure::Requests => requests_per_s,
        };
        let own = self.take_one(holder, per_s, now);
        match who {
            // Who is held back takes nothing from the others.
            Who::Viewer { by, .. } if own.is_none_or(|own| own.wait_s.is_none()) => {
                let all = self.take_one(Holder::ViewersOf(by.clone()), self.limits.viewers_per_s, now);
                all.filter(|all| all.wait_s.is_some()).or(own)
            }
            _ => own,
        }
    }

    /// Takes one request out of the bucket of the strangers at an address.
    pub fn take_stranger(&self, address: Option<IpAddr>, what: Stranger, now: Instant) -> Option<Standing> {
        self.take_one(Holder::Strangers(address.map(neighbourhood), what), self.limits.strangers_per_s, now)
    }

    /// Requests that were held back: of callers, and of strangers.
    pub fn held_back(&self) -> [u64; 2] {
        [0, 1].map(|which| self.held_back[which].load(Ordering::Relaxed))
    }

    fn take_one(&self, holder: Holder, per_s: u32, now: Instant) -> Option<Standing> {
        // Beyond a thousand million a second there is nothing left to divide.
        let step = Duration::from_secs(1).checked_div(per_s)?.max(Duration::from_nanos(1));
        let is_stranger = matches!(holder, Holder::Strangers(..));
        let mut buckets = self.full_at.lock();
        let full_at = buckets.get_or_insert_mut(holder, || now);
        let lacks = full_at.saturating_duration_since(now);
        let (lacks, wait) = match (lacks + step).checked_sub(WINDOW).filter(|over| !over.is_zero()) {
            None => (lacks + step, None),
            Some(over) => (lacks, Some(over)),
        };
        *full_at = now + lacks;
        drop(buckets);
        if wait.is_some() {
            self.held_back[usize::from(is_stranger)].fetch_add(1, Ordering::Relaxed);
        }
        let quota = per_s.saturating_mul(WINDOW_S);
        let left = (WINDOW - lacks).as_nanos() / step.as_nanos();
        Some(Standing {
            quota,
            left: u32::try_from(left).map_or(quota, |left| left.min(quota)),
            full_after_s: seconds_up(lacks),
            wait_s: wait.map(seconds_up),
        })
    }
}

fn seconds_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { requests_per_s: 10, appends_per_s: 1_000, strangers_per_s: 2, viewers_per_s: 60 };

    fn key(id: &str) -> Who {
        Who::Key { id: id.into(), name: "a".into() }
    }

    #[test]
    fn a_caller_has_five_seconds_of_requests_at_once_and_then_its_rate() {
        let (rates, began) = (Rates::new(LIMITS), Instant::now());
        let take = |ms: u64| rates.take(&key("a"), Measure::Requests, began + Duration::from_millis(ms)).unwrap();
        let first = Standing { quota: 50, left: 49, full_after_s: 1, wait_s: None };
        assert_eq!(take(0), first);
        assert!((0..49).rev().all(|left| take(0).left == left));
    }

    #[test]
    fn who_is_held_back_is_told_when_and_is_let_in_then() {
        let (rates, began) = (Rates::new(LIMITS), Instant::now());
        let take = |ms: u64| rates.take(&key("a"), Measure::Requests, began + Duration::from_millis(ms)).unwrap();
        let waits = |ms: u64| take(ms).wait_s;
        assert!((0..50).all(|_| waits(0).is_none()));
        assert_eq!(take(0), Standing { quota: 50, left: 0, full_after_s: 5, wait_s: Some(1) });
        // Asking in vain costs nothing.
        assert!((0..1_000).all(|_| waits(0) == Some(1)));
        assert_eq!((waits(99), waits(100), waits(100)), (Some(1), None, Some(1)));
        assert!((0..50).all(|_| waits(60_000).is_none()), "never more than a full bucket");
        assert_eq!(waits(60_000), Some(1));
        assert_eq!(rates.held_back(), [1_004, 0]);
    }

    #[test]
    fn each_caller_and_each_measure_is_for_itself_and_strangers_are_their_address() {
        let (rates, now) = (Rates::new(LIMITS), Instant::now());
        let waits = |who: &Who, measure| rates.take(who, measure, now).unwrap().wait_s.is_some();
        assert!(!(0..50).any(|_| waits(&key("a"), Measure::Requests)));
        assert!(waits(&key("a"), Measure::Requests));
        assert!(!waits(&key("a"), Measure::Appends) && !waits(&key("b"), Measure::Requests));
        let person = Who::Person { id: "a".into(), name: None, email: None };
        assert!(!waits(&person, Measure::Requests), "somebody else of the same name");
        let (here, there) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 2])));
        let takes = |address, what| rates.take_stranger(address, what, now).unwrap().wait_s.is_some();
        let is_held_back = |address| takes(address, Stranger::WrongKey);
        assert!(!(0..10).any(|_| is_held_back(here)));
        assert!(is_held_back(here) && !is_held_back(there) && !is_held_back(None));
        assert!(!takes(here, Stranger::Begins), "who begins to sign in there is not held back by them");
        assert_eq!(rates.held_back(), [1, 1]);
    }

    #[test]
    fn however_many_viewers_a_key_makes_they_have_one_bucket_together() {
        let viewer = |id: &str, by: &str| {
            let (id, by) = (id.into(), by.into());
            Who::Viewer { id, user: "u_1".into(), name: None, by, expires_ms: u64::MAX }
        };
        let (rates, began) = (Rates::new(LIMITS), Instant::now());
        let waits =
            |id: &str, by: &str| rates.take(&viewer(id, by), Measure::Requests, began).unwrap().wait_s.is_some();
        assert!(!(0..15).any(|_| waits("first", "a")));
        assert!(
            (0..1_000).all(|_| waits("first", "a")),
            "a twentieth is its own, and it takes nothing from the others"
        );
        let let_in = (0..1_000).filter(|n| !waits(&n.to_string(), "a")).count();
        assert_eq!(let_in, 285, "five seconds of 60 a second, without the 15 of the first");
        assert!(!waits("other", "b"), "those of another key have their own");
        assert!(rates.take(&key("a"), Measure::Requests, began).unwrap().wait_s.is_none(), "and so has the key");
        let of_all = rates.take(&viewer("late", "a"), Measure::Requests, began).unwrap();
        assert_eq!((of_all.quota, of_all.left, of_all.wait_s), (300, 0, Some(1)));
    }

    #[test]
    fn without_a_limit_nobody_is_counted() {
        let rates = Rates::new(Limits { requests_per_s: 0, ..LIMITS });
        assert_eq!(rates.take(&key("a"), Measure::Requests, Instant::now()), None);
        assert_eq!(rates.take(&Who::Anyone, Measure::Appends, Instant::now()), None);
        assert!(rates.full_at.lock().is_empty());
    }

    #[test]
    fn however_many_come_memory_is_bounded() {
        let (rates, now) = (Rates::new(LIMITS), Instant::now());
        for n in 0..2 * BUCKETS_MAX.get() as u32 {
            rates.take_stranger(Some(IpAddr::from(n.to_be_bytes())), Stranger::WrongKey, now);
        }
        assert_eq!(rates.full_at.lock().len(), BUCKETS_MAX.get());
    }

    #[test]
    fn odd_rates_fill_a_bucket_to_the_last_request() {
        for per_s in [1, 3, 7, 999, 20_000, 3_000_000, 2_000_000_000, u32::MAX] {
            let (rates, now) = (Rates::new(Limits { requests_per_s: per_s, ..LIMITS }), Instant::now());
            let take = || rates.take(&key("a"), Measure::Requests, now).unwrap();
            let quota = take().quota;
            assert_eq!(quota, per_s.saturating_mul(WINDOW_S));
            assert!((1..quota.min(200_000)).all(|_| take().wait_s.is_none()), "{per_s}");
            assert!(quota > 200_000 || take().wait_s.is_some(), "{per_s}");
        }
    }
}
