//! How many steps compute at once.
//!
//! There are more threads than that: a step ends with waiting until its result is on the disk,
//! and meanwhile another may compute.
//!
//! Two imgbuilds on one store would wait for each other for ever if one's slots were held by
//! threads that wait for steps of the other's, and the other's likewise: both have begun steps
//! that want a slot back. So a slot is taken under a step's lock and never the other way round;
//! who has one waits for no other imgbuild.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, PoisonError};

/// So many steps may compute.
#[derive(Debug)]
pub(super) struct Slots {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// The right to compute, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Slots {
    /// So many, all free.
    pub(super) const fn new(count: NonZeroUsize) -> Self {
        Self {
            free: Mutex::new(count.get()),
            given_back: Condvar::new(),
        }
    }

    /// Waits for a free one.
    pub(super) fn take(&self) -> Slot<'_> {
        self.wait();
        Slot(self)
    }

    /// Runs what needs no processor, while somebody else uses the caller's slot.
    pub(super) fn meanwhile<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.give_back();
        let value = wait();
        self.wait();
        value
    }

    fn wait(&self) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self
                .given_back
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
    }

    fn give_back(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_than_the_slots_compute_at_once() {
        let slots = Slots::new(NonZeroUsize::new(2).unwrap());
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let compute = || {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
        };
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let _slot = slots.take();
                    for _ in 0..100 {
                        compute();
                        slots.meanwhile(std::thread::yield_now);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 2);
        assert_eq!(slots.free.into_inner().unwrap(), 2, "all came back");
    }

    #[test]
    fn who_waits_makes_room() {
        let slots = Slots::new(NonZeroUsize::MIN);
        let _mine = slots.take();
        // Would never end if the only slot were kept.
        slots.meanwhile(|| drop(slots.take()));
    }
}
