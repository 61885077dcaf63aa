//! Running steps in the order their inputs allow, the most expensive first.

use crate::plan::graph::{Graph, StepId};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Steps that wait, are ready, or run.
struct State<E> {
    ready: BinaryHeap<(u64, Reverse<StepId>)>,
    /// How many inputs each waiting step still lacks.
    missing: HashMap<StepId, usize>,
    left: usize,
    error: Option<E>,
    /// A thread panicked: its step is never done, and nobody may wait for it.
    broken: bool,
}

/// The queue, shared by all that work on it.
pub(crate) struct Queue<'a, E> {
    graph: &'a Graph,
    users: HashMap<StepId, Vec<StepId>>,
    external: Vec<StepId>,
    state: Mutex<State<E>>,
    changed: Condvar,
}

impl<'a, E: Send> Queue<'a, E> {
    /// A queue of the steps `needed` (inputs first). Those in `external` are not handed out:
    /// somebody else does them and says so with [`Queue::done`].
    pub(crate) fn new(graph: &'a Graph, needed: &[StepId], external: Vec<StepId>) -> Self {
        let mut users: HashMap<StepId, Vec<StepId>> = HashMap::new();
        let mut missing = HashMap::new();
        for &id in needed {
            let inputs = &graph.step(id).inputs;
            let mut count = 0;
            for input in inputs.iter().filter(|input| needed.contains(input)) {
                users.entry(*input).or_default().push(id);
                count += 1;
            }
            missing.insert(id, count);
        }
        let queue = Self {
            graph,
            users,
            external,
            state: Mutex::new(State {
                ready: BinaryHeap::new(),
                missing,
                left: needed.len(),
                error: None,
                broken: false,
            }),
            changed: Condvar::new(),
        };
        let mut state = queue.lock();
        for &id in needed {
            queue.offer(&mut state, id);
        }
        drop(state);
        queue
    }

    /// Runs everything on `jobs` threads. `beside` runs on a thread of its own; it does the
    /// external steps. The first error ends the work; so does a panic, which is passed on.
    pub(crate) fn run(
        &self,
        jobs: NonZeroUsize,
        work: impl Fn(StepId) -> Result<(), E> + Sync,
        beside: impl FnOnce() -> Result<(), E> + Send,
    ) -> Result<(), E> {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = Guard(self);
                if let Err(error) = beside() {
                    self.fail(error);
                }
            });
            for _ in 0..jobs.get() {
                scope.spawn(|| {
                    let _guard = Guard(self);
                    while let Some(id) = self.next() {
                        match work(id) {
                            Ok(()) => self.done(id),
                            Err(error) => self.fail(error),
                        }
                    }
                });
            }
        });
        match self.lock().error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// A step is done: what waited for it may run.
    pub(crate) fn done(&self, id: StepId) {
        let mut state = self.lock();
        state.left -= 1;
        for &user in self.users.get(&id).into_iter().flatten() {
            if let Some(count) = state.missing.get_mut(&user) {
                *count -= 1;
            }
            self.offer(&mut state, user);
        }
        drop(state);
        self.changed.notify_all();
    }

    fn fail(&self, error: E) {
        self.lock().error.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Puts a step among the ready ones if nothing is missing.
    fn offer(&self, state: &mut State<E>, id: StepId) {
        if state.missing.get(&id) == Some(&0) {
            state.missing.remove(&id);
            if !self.external.contains(&id) {
                let cost = self.graph.step(id).cost;
                state.ready.push((cost, Reverse(id)));
            }
        }
    }

    /// The next step to run; nothing when all are done or one failed.
    fn next(&self) -> Option<StepId> {
        let mut state = self.lock();
        loop {
            if state.broken || state.error.is_some() || state.left == 0 {
                return None;
            }
            if let Some((_, Reverse(id))) = state.ready.pop() {
                return Some(id);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the others go when its thread panics.
struct Guard<'q, 'a, E: Send>(&'q Queue<'a, E>);

impl<E: Send> Drop for Guard<'_, '_, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().broken = true;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::graph::Kind;

    /// a → b, c → d, with c dearer than b.
    fn diamond() -> (Graph, Vec<StepId>) {
        let mut graph = Graph::default();
        let a = graph.add(Kind::Fetch, "a", [], vec![], 1);
        let b = graph.add(Kind::Unpack, "b", [], vec![a], 1);
        let c = graph.add(Kind::Unpack, "c", [], vec![a], 9);
        let d = graph.add(Kind::Compose, "d", [], vec![b, c], 1);
        (graph, vec![a, b, c, d])
    }

    fn names(graph: &Graph, ran: &[StepId]) -> String {
        ran.iter()
            .map(|id| graph.step(*id).subject.as_str())
            .collect()
    }

    #[test]
    fn inputs_first_and_the_dearest_of_the_ready() {
        let (graph, all) = diamond();
        let queue: Queue<'_, ()> = Queue::new(&graph, &all, vec![]);
        let ran = Mutex::new(Vec::new());
        let one = NonZeroUsize::MIN;
        let work = |id| {
            ran.lock().unwrap().push(id);
            Ok(())
        };
        queue.run(one, work, || Ok(())).unwrap();
        assert_eq!(names(&graph, &ran.into_inner().unwrap()), "acbd");
    }

    #[test]
    fn external_steps_are_waited_for() {
        let (graph, all) = diamond();
        let queue: Queue<'_, ()> = Queue::new(&graph, &all, vec![all[0]]);
        let ran = Mutex::new(Vec::new());
        let work = |id| {
            ran.lock().unwrap().push(id);
            Ok(())
        };
        let beside = || {
            queue.done(all[0]);
            Ok(())
        };
        queue
            .run(NonZeroUsize::new(3).unwrap(), work, beside)
            .unwrap();
        assert_eq!(ran.into_inner().unwrap().len(), 3);
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let (graph, all) = diamond();
        let queue = Queue::new(&graph, &all, vec![]);
        let work = |id| if id == all[2] { Err("broken") } else { Ok(()) };
        let two = NonZeroUsize::new(2).unwrap();
        assert_eq!(queue.run(two, work, || Ok(())), Err("broken"));
    }

    #[test]
    fn a_panic_ends_the_work() {
        // On a thread of its own: if it does not end, that is the failure.
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (graph, all) = diamond();
            let queue: Queue<'_, ()> = Queue::new(&graph, &all, vec![]);
            let work = |id| {
                assert_ne!(id, all[2], "broken");
                Ok(())
            };
            let run = || queue.run(NonZeroUsize::new(2).unwrap(), work, || Ok(()));
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            ended.send(ran.is_err()).unwrap();
        });
        let patience = std::time::Duration::from_secs(60);
        assert_eq!(end.recv_timeout(patience), Ok(true));
    }
}
