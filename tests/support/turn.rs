//! Two cores carry one cluster, or two machines that are alone.

use std::sync::{Condvar, Mutex, PoisonError};

const PLACES: usize = 2;
static FREE: Mutex<usize> = Mutex::new(PLACES);
static FREED: Condvar = Condvar::new();

/// The right to boot; it ends where it is dropped.
pub struct Turn(usize);

/// Waits until a single machine may boot.
pub fn machine() -> Turn {
    take(1)
}

/// Waits until a cluster may boot.
pub fn cluster() -> Turn {
    take(PLACES)
}

fn take(places: usize) -> Turn {
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut free = FREED
        .wait_while(free, |free| *free < places)
        .unwrap_or_else(PoisonError::into_inner);
    *free -= places;
    Turn(places)
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += self.0;
        FREED.notify_all();
    }
}
