//! Wrong tokens are limited, by the address that they come from: ten at once, and one
//! more every six seconds. The same one again is no guess: a program that was not told of
//! a new token locks nobody out.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const AT_ONCE: f64 = 10.0;
const ONE_MORE_AFTER: Duration = Duration::from_secs(6);
/// With more, those who may guess freely again are forgotten, and all where that is none.
const MOST_ADDRESSES: usize = 10_000;

/// Wrong tokens of one address that are known again.
const MOST_KNOWN: usize = 10;

/// How many wrong tokens each address has shown lately.
#[derive(Default)]
pub struct Guesses {
    /// Its keys are this process's own: what is kept tells nothing of a token.
    hasher: RandomState,
    by_address: Mutex<HashMap<IpAddr, Spent>>,
}

struct Spent {
    guesses: f64,
    at: Instant,
    /// Hashes of what it showed, the latest last.
    shown: VecDeque<u64>,
}

impl Spent {
    fn by(&self, now: Instant) -> f64 {
        let regained = now.duration_since(self.at).as_secs_f64() / ONE_MORE_AFTER.as_secs_f64();
        (self.guesses - regained).max(0.0)
    }

    fn add(&mut self, hash: u64, now: Instant) {
        if self.shown.contains(&hash) {
            return;
        }
        if self.shown.len() == MOST_KNOWN {
            self.shown.pop_front();
        }
        self.shown.push_back(hash);
        (self.guesses, self.at) = (self.by(now) + 1.0, now);
    }
}

impl Guesses {
    /// How long this address has to wait before it may show a token, if it has to.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let spent = self.locked().get(&network(address)).map(|spent| spent.by(now))?;
        let too_many = spent - (AT_ONCE - 1.0);
        (too_many > 0.0).then(|| ONE_MORE_AFTER.mul_f64(too_many))
    }

    /// Notes a wrong token that this address has not shown lately.
    pub fn note(&self, address: IpAddr, token: &str, now: Instant) {
        let hash = self.hasher.hash_one(token);
        let mut known = self.locked();
        if known.len() >= MOST_ADDRESSES {
            known.retain(|_, spent| spent.by(now) > 0.0);
        }
        if known.len() >= MOST_ADDRESSES {
            known.clear();
        }
        let nothing = || Spent { guesses: 0.0, at: now, shown: VecDeque::new() };
        known.entry(network(address)).or_insert_with(nothing).add(hash, now);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Spent>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has one address of IPv6 has a whole network of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_are_free_then_one_in_six_seconds_and_nobody_else_waits() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let [eve, ann]: [IpAddr; 2] = [[192, 0, 2, 7].into(), [192, 0, 2, 8].into()];
        for number in 0..10 {
            assert_eq!(guesses.wait(eve, now), None);
            guesses.note(eve, &number.to_string(), now);
        }
        assert_eq!(guesses.wait(eve, now), Some(ONE_MORE_AFTER));
        assert_eq!(guesses.wait(ann, now), None);
        let later = now + ONE_MORE_AFTER;
        assert_eq!(guesses.wait(eve, later), None);
        guesses.note(eve, "one more", later);
        assert_eq!(guesses.wait(eve, later), Some(ONE_MORE_AFTER));
        assert_eq!(guesses.wait(eve, later + ONE_MORE_AFTER * 10), None);
    }

    #[test]
    fn the_same_wrong_token_again_is_no_guess() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let old: IpAddr = [192, 0, 2, 7].into();
        (0..1_000).for_each(|_| guesses.note(old, "stale", now));
        assert_eq!(guesses.wait(old, now), None);
        let others = 0..9;
        others.for_each(|number| guesses.note(old, &number.to_string(), now));
        assert_eq!(guesses.wait(old, now), Some(ONE_MORE_AFTER), "the tenth of its kind");
        // Who goes through many is not known again by the first of them.
        let other: IpAddr = [192, 0, 2, 8].into();
        let many = (0..11).chain(0..11);
        many.for_each(|number| guesses.note(other, &number.to_string(), now));
        assert_eq!(guesses.wait(other, now), Some(ONE_MORE_AFTER * 13));
    }

    #[test]
    fn a_network_of_ipv6_is_one_guesser_and_many_are_forgotten() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]);
        (0..10).for_each(|host| guesses.note(address(host), &host.to_string(), now));
        assert!(guesses.wait(address(77), now).is_some());
        for number in 0..3 * MOST_ADDRESSES as u32 {
            guesses.note(IpAddr::from(number.to_be_bytes()), "wrong", now);
        }
        assert!(guesses.locked().len() <= MOST_ADDRESSES);
    }
}
