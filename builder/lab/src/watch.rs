//! Asks one member again and again in a thread of its own, so that whoever wants to know how
//! it is never waits for a member that does not answer.

use crate::health::{Health, Probe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(500);

/// A member under watch. Dropped, no further question is asked.
#[derive(Debug)]
pub(crate) struct Watch(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    on: bool,
    over: bool,
    /// Counts how often the member was switched: an answer to a question asked before that
    /// tells nothing any more.
    turn: u64,
    last: Option<Health>,
}

impl Watch {
    /// Watches the member behind a loopback port, from [`Watch::set_on`] on.
    pub(crate) fn start(probe: Probe, port: u16) -> Self {
        Self::over(move || probe.ask(port))
    }

    fn over(ask: impl Fn() -> Health + Send + 'static) -> Self {
        let shared: Arc<Shared> = Arc::default();
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || theirs.watch(&ask));
        Self(shared)
    }

    /// The member was switched on or off: nothing is known of it.
    pub(crate) fn set_on(&self, on: bool) {
        let mut state = self.0.lock();
        state.on = on;
        state.turn += 1;
        state.last = None;
        self.0.changed.notify_all();
    }

    /// The last answer.
    pub(crate) fn last(&self) -> Health {
        let last = self.0.lock().last.clone();
        last.unwrap_or_else(|| Health::Silent("not asked yet".to_owned()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, ask: &dyn Fn() -> Health) {
        loop {
            let state = self.lock();
            let state = self
                .changed
                .wait_while(state, |state| !state.on && !state.over)
                .unwrap_or_else(PoisonError::into_inner);
            if state.over {
                return;
            }
            let turn = state.turn;
            drop(state);
            let answer = ask();
            let mut state = self.lock();
            if state.turn == turn {
                state.last = Some(answer);
            }
            let unchanged = |state: &mut State| state.turn == turn && !state.over;
            drop(self.changed.wait_timeout_while(state, PAUSE, unchanged));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn healthy() -> Health {
        Health::Healthy {
            leader: true,
            version: "1".to_owned(),
        }
    }

    fn await_last(watch: &Watch, expected: &Health) {
        while watch.last() != *expected {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn an_answer_from_before_a_switch_does_not_count() {
        let (answer, answers) = channel();
        let (asked, questions) = channel();
        let watch = Watch::over(move || {
            asked.send(()).unwrap();
            answers.recv().unwrap_or_else(|_| healthy())
        });
        watch.set_on(true);
        questions.recv().unwrap();
        answer.send(healthy()).unwrap();
        await_last(&watch, &healthy());
        // The next question is open while the member is switched off and on.
        questions.recv().unwrap();
        watch.set_on(false);
        watch.set_on(true);
        answer.send(healthy()).unwrap();
        questions.recv().unwrap();
        assert!(matches!(watch.last(), Health::Silent(_)));
        let unhealthy = Health::Unhealthy("no leader".to_owned());
        answer.send(unhealthy.clone()).unwrap();
        await_last(&watch, &unhealthy);
    }
}
