//! One line or bar for each kind of work, from its first step's beginning to its last one's
//! end.

use crate::plan::Plan;
use crate::plan::graph::{Kind, StepId};
use imgbuild_base::Events;
use imgbuild_base::event::{Task, Unit};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How far each kind of work is.
pub(super) struct Progress {
    events: Events,
    kinds: Mutex<BTreeMap<Kind, Work>>,
}

struct Work {
    total: u64,
    left: u64,
    task: Option<Task>,
}

/// A step under way; its end is counted when it is dropped.
pub(super) struct UnderWay<'a> {
    progress: &'a Progress,
    kind: Kind,
}

impl Progress {
    /// Nothing has begun; `needed` is to be done.
    pub(super) fn new(plan: &Plan, needed: &[StepId], events: &Events) -> Self {
        let mut kinds: BTreeMap<Kind, Work> = BTreeMap::new();
        for id in needed {
            let work = kinds.entry(plan.graph.step(*id).kind).or_insert(Work {
                total: 0,
                left: 0,
                task: None,
            });
            work.total += 1;
            work.left += 1;
        }
        Self {
            events: events.clone(),
            kinds: Mutex::new(kinds),
        }
    }

    /// A step of this kind begins.
    pub(super) fn begin(&self, kind: Kind) -> UnderWay<'_> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = kinds.get_mut(&kind)
            && work.task.is_none()
        {
            let total = (work.total > 1).then_some(work.total);
            work.task = Some(self.events.start(words(kind), total, Unit::Items));
        }
        UnderWay {
            progress: self,
            kind,
        }
    }

    fn end(&self, kind: Kind) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = kinds.get_mut(&kind) {
            work.left = work.left.saturating_sub(1);
            match &work.task {
                Some(task) if work.left > 0 => task.advance(1),
                _ => work.task = None,
            }
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.progress.end(self.kind);
    }
}

const fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Fetch => "fetching packages",
        Kind::Unpack => "unpacking packages",
        Kind::Compose => "composing the base system",
        Kind::BaseLayer => "writing the base layer",
        Kind::Boot => "making the boot partition's files",
        Kind::Etcd => "getting etcd",
        Kind::EtcdLayer => "writing the etcd layer",
        Kind::NodeLayer => "making node layers",
        Kind::Disk => "writing images",
        Kind::Overlay => "writing archives",
    }
}
