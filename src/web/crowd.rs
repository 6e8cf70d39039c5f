//! The connections that are open, in a house with so many seats. Whoever comes when all
//! are taken gets the seat of the one who has been idle longest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Everybody who is in.
pub struct Crowd {
    seats: usize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    count: usize,
    /// Counts the turns from busy to idle.
    turns: u64,
    /// Those who wait for their client, by the turn at which they began to.
    idle: BTreeMap<u64, Arc<Notify>>,
}

/// One connection's place.
pub struct Seat {
    crowd: Arc<Crowd>,
    taken: Arc<Notify>,
    state: Mutex<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    /// `None` while a request is answered.
    idle_since: Option<u64>,
    changed_at: Instant,
}

impl Crowd {
    pub fn new(seats: usize) -> Crowd {
        Crowd { seats, inside: Mutex::default() }
    }

    /// A seat, idle at first; `None` where everybody is busy.
    pub fn seat(self: &Arc<Crowd>) -> Option<Seat> {
        let mut inside = self.inside();
        if inside.count >= self.seats {
            let (_, longest) = inside.idle.pop_first()?;
            longest.notify_one();
        }
        inside.count += 1;
        let taken = Arc::new(Notify::new());
        let turn = inside.waits(&taken);
        let state = Place { idle_since: Some(turn), changed_at: Instant::now() };
        Some(Seat { crowd: self.clone(), taken, state: Mutex::new(state) })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn waits(&mut self, who: &Arc<Notify>) -> u64 {
        self.turns += 1;
        self.idle.insert(self.turns, who.clone());
        self.turns
    }
}

impl Seat {
    /// A request began. Until it is here whole, its client may let it wait for ever: the
    /// seat stays one that others get.
    pub fn is_asked(&self) {
        self.place().changed_at = Instant::now();
    }

    /// A request came whole: nobody takes the seat.
    pub fn is_busy(&self) {
        let idle_since = self.place().idle_since;
        if let Some(turn) = idle_since {
            self.crowd.inside().idle.remove(&turn);
        }
        *self.place() = Place { idle_since: None, changed_at: Instant::now() };
    }

    /// It was answered.
    pub fn is_idle(&self) {
        let idle_since = self.place().idle_since;
        let mut inside = self.crowd.inside();
        if let Some(turn) = idle_since {
            inside.idle.remove(&turn);
        }
        let turn = inside.waits(&self.taken);
        drop(inside);
        *self.place() = Place { idle_since: Some(turn), changed_at: Instant::now() };
    }

    /// Waits until somebody else gets the seat.
    pub async fn is_taken(&self) {
        self.taken.notified().await;
    }

    /// Waits until nothing has changed for `long`.
    pub async fn stalls(&self, long: Duration) {
        loop {
            let until = self.place().changed_at + long;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let idle_since = self.place().idle_since;
        let mut inside = self.crowd.inside();
        inside.count -= 1;
        if let Some(turn) = idle_since {
            inside.idle.remove(&turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(seat: &Seat) -> bool {
        use futures_util::FutureExt;
        seat.is_taken().now_or_never().is_some()
    }

    #[test]
    fn who_has_been_idle_longest_makes_room_and_who_is_busy_stays() {
        let crowd = Arc::new(Crowd::new(3));
        let seats: Vec<Seat> = (0..3).filter_map(|_| crowd.seat()).collect();
        seats[0].is_busy();
        seats[1].is_busy();
        seats[1].is_idle();
        let fourth = crowd.seat().expect("the third has been idle longest");
        assert_eq!(seats.iter().map(is_taken).collect::<Vec<_>>(), [false, false, true]);
        let fifth = crowd.seat().expect("the second answered its client after the fourth came");
        assert_eq!(seats.iter().map(is_taken).collect::<Vec<_>>(), [false, true, false]);
        fourth.is_busy();
        fifth.is_busy();
        assert!(crowd.seat().is_none(), "everybody is busy");
        drop((seats, fourth));
        assert!(crowd.seat().is_some());
    }

    #[test]
    fn who_was_answered_before_it_asked_whole_waits_once() {
        let crowd = Arc::new(Crowd::new(2));
        let seats: Vec<Seat> = (0..2).filter_map(|_| crowd.seat()).collect();
        seats[0].is_asked();
        seats[0].is_idle();
        let third = crowd.seat().expect("the second has been idle longest");
        assert_eq!(seats.iter().map(is_taken).collect::<Vec<_>>(), [false, true]);
        seats[0].is_busy();
        third.is_busy();
        assert!(crowd.seat().is_none(), "everybody is busy");
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_stalls_where_nothing_changes() {
        let crowd = Arc::new(Crowd::new(1));
        let seat = Arc::new(crowd.seat().expect("the first"));
        let long = Duration::from_secs(60);
        let (began, held) = (Instant::now(), seat.clone());
        let waiting = tokio::spawn(async move { held.stalls(long).await });
        tokio::time::sleep(long / 2).await;
        seat.is_busy();
        waiting.await.expect("it stalls");
        assert_eq!(began.elapsed(), long / 2 + long);
    }
}
