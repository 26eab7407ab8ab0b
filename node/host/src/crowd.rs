//! A place with room for so many, of whom nobody has proved anything yet.
//!
//! When it is full, the oldest of the network that has most there gives way, so that one machine
//! with ten thousand connections keeps out nobody but itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// Who is there.
#[derive(Debug)]
pub struct Crowd {
    room: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_number: BTreeMap<u64, Guest>,
    by_network: BTreeMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Guest {
    from: IpAddr,
    task: Option<AbortHandle>,
}

/// A place in the crowd, given back when dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    number: u64,
}

impl Place {
    /// Its number; later ones are higher.
    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl Crowd {
    /// With room for so many.
    pub fn new(room: usize) -> Self {
        Self { room, waiting: Mutex::default() }
    }

    /// Takes a place for somebody from a network.
    pub fn enter(crowd: &Arc<Self>, from: IpAddr) -> Place {
        let mut waiting = crowd.lock();
        waiting.next += 1;
        let number = waiting.next;
        waiting.by_number.insert(number, Guest { from, task: None });
        *waiting.by_network.entry(from).or_default() += 1;
        drop(waiting);
        Place { crowd: Arc::clone(crowd), number }
    }

    /// Remembers how to send a guest away, who may have gone already.
    pub fn note(&self, number: u64, task: AbortHandle) {
        if let Some(guest) = self.lock().by_number.get_mut(&number) {
            guest.task = Some(task);
        }
    }

    /// Sends somebody away if there is no room for one more, and tells from where.
    pub fn make_room(&self) -> Option<IpAddr> {
        let mut waiting = self.lock();
        if waiting.by_number.len() < self.room {
            return None;
        }
        let number = waiting.least_entitled()?;
        let guest = waiting.remove(number)?;
        drop(waiting);
        if let Some(task) = guest.task {
            task.abort();
        }
        Some(guest.from)
    }

    /// How many are there.
    pub fn count(&self) -> usize {
        self.lock().by_number.len()
    }

    /// How many of a network are there.
    pub fn count_of(&self, from: IpAddr) -> usize {
        self.lock().by_network.get(&from).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn least_entitled(&self) -> Option<u64> {
        let (most, _) = self.by_network.iter().max_by_key(|(_, count)| **count)?;
        self.by_number.iter().find(|(_, guest)| guest.from == *most).map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) -> Option<Guest> {
        let guest = self.by_number.remove(&number)?;
        if let Some(count) = self.by_network.get_mut(&guest.from) {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&guest.from);
            }
        }
        Some(guest)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().remove(self.number);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const ROOM: usize = 200;

    /// Shows that a full place is cleared of those who have most connections there, oldest first,
    /// and that somebody with one connection stays.
    #[test]
    fn who_has_most_gives_way() {
        let place = Arc::new(Crowd::new(ROOM));
        let (one, many) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let honest = Crowd::enter(&place, one);
        let mut flood = vec![];
        for _ in 1..ROOM {
            assert_eq!(place.make_room(), None);
            flood.push(Crowd::enter(&place, many));
        }
        for _ in 0..ROOM * 2 {
            assert_eq!(place.make_room(), Some(many));
            flood.push(Crowd::enter(&place, many));
            assert_eq!(place.count(), ROOM);
        }
        assert!(place.lock().by_number.contains_key(&honest.number));
        assert_eq!((place.count_of(one), place.count_of(many)), (1, ROOM - 1));
        drop((honest, flood));
        assert_eq!((place.count(), place.count_of(many)), (0, 0), "places are given back");
    }
}
