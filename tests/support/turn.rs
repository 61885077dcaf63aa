//! Two cores carry one cluster, or two machines that are alone. Who asks first boots first.

use std::sync::{Condvar, Mutex, PoisonError};

const PLACES: usize = 2;

struct Queue {
    free: usize,
    /// The number that the next one who asks gets.
    next: usize,
    /// The number whose turn it is.
    called: usize,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    free: PLACES,
    next: 0,
    called: 0,
});
static CHANGED: Condvar = Condvar::new();

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
    let mut queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    let number = queue.next;
    queue.next += 1;
    let mut queue = CHANGED
        .wait_while(queue, |queue| queue.called != number || queue.free < places)
        .unwrap_or_else(PoisonError::into_inner);
    queue.free -= places;
    queue.called += 1;
    CHANGED.notify_all();
    Turn(places)
}

impl Drop for Turn {
    fn drop(&mut self) {
        QUEUE.lock().unwrap_or_else(PoisonError::into_inner).free += self.0;
        CHANGED.notify_all();
    }
}
