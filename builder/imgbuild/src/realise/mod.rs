//! Making what a plan asks for and the store does not have.
//!
//! [`shared`] walks from the goals down to what is at hand, fetches what is missing and runs
//! the steps on a [`queue`], each under the store's lock for its key. What steps give to each
//! other is a [`Value`]; a value whose step is not run is loaded from the store when somebody
//! needs it.

mod etcd;
mod fetching;
mod go_inputs;
mod pack;
mod progress;
mod queue;
mod slots;
mod steps;

pub(crate) use etcd::release_archive;
pub(crate) use fetching::{StoreSink, fetch_failed};
pub(crate) use go_inputs::{GoInputs, adopt, go_host};

use crate::error::{CommandError, Failure, OrFail, Result};
use crate::image::Layer;
use crate::means::Means;
use crate::plan::graph::{Kept, Kind, Step, StepId};
use crate::plan::{Plan, Platform};
use imgbuild_base::{Body, Events, NodeName, Tree};
use imgbuild_cluster::Below;
use imgbuild_debian::deb::UnpackedDeb;
use imgbuild_debian::lock::LockedPackage;
use imgbuild_etcd::EtcdBinaries;
use imgbuild_fetch::Item;
use imgbuild_fetch::mirrors::Archive;
use imgbuild_formats::grub::Loader;
use imgbuild_recipe::resolved::{Firmware, NodeImage};
use imgbuild_store::{Object, Realised, StepKey, StepKind, StepResult};
use imgbuild_system::Base;
use progress::Progress;
use queue::Queue;
use slots::Slots;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// What nodes have below their own layers.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The layer with etcd's programs that each node has.
    etcd: BTreeMap<NodeName, Layer>,
    /// What disks hold, each once, in the order of the plan's platforms; nothing when no disk is
    /// built.
    grounds: Vec<Ground>,
}

/// What the nodes of one platform have below their own layers.
#[derive(Debug)]
pub(crate) struct Ground {
    /// The layers, lowest first.
    pub(crate) layers: Vec<Layer>,
    /// What the board starts from.
    pub(crate) boot: Tree,
    /// What a PC's BIOS starts, where the recipe wants it.
    pub(crate) loader: Option<Loader>,
    /// What the disk is like.
    pub(crate) image: NodeImage,
    /// The base layer's paths, with the content that tells of users and units.
    pub(crate) outline: Tree,
    /// The same as node layers are made with.
    pub(crate) below: Below,
}

impl Shared {
    /// What the disks have below the nodes' layers.
    pub(crate) fn grounds(&self) -> &[Ground] {
        &self.grounds
    }

    /// What a node has below its own layer, and its place among all.
    pub(crate) fn of(&self, plan: &Plan, node: &NodeName) -> Result<(usize, &Ground)> {
        let at = plan.platform_of.get(node).copied();
        let ground = at.and_then(|at| Some((at, self.grounds.get(at)?)));
        ground.ok_or_else(|| nothing_for(node))
    }

    /// A node's layer with etcd's programs.
    pub(crate) fn etcd(&self, node: &NodeName) -> Result<&Layer> {
        self.etcd.get(node).ok_or_else(|| nothing_for(node))
    }

    /// Every layer by its name, with its digest; lowest first.
    pub(crate) fn layers(&self) -> Vec<(String, String)> {
        let below = self.grounds.iter().flat_map(|ground| &ground.layers);
        let all = below.chain(self.etcd.values());
        let named = all.map(|layer| (layer.name.clone(), layer.body.digest().to_string()));
        named.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

fn nothing_for(node: &NodeName) -> CommandError {
    CommandError::msg(Failure::Other, format!("nothing was made for {node}"))
}

/// How many steps a build had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Steps that were run or files that were fetched.
    pub(crate) done: usize,
    /// Steps whose results were at hand.
    pub(crate) cached: usize,
}

/// What a step gives to others.
#[derive(Clone)]
enum Value {
    File(Object),
    Package(Arc<UnpackedDeb>),
    Base(Arc<Base>),
    Etcd(Arc<EtcdBinaries>),
    Objects(StepResult),
}

/// A run over a plan.
struct Run<'a> {
    plan: &'a Plan,
    means: &'a Means,
    events: &'a Events,
    values: Mutex<BTreeMap<StepId, Value>>,
    progress: Progress,
    slots: Slots,
}

/// How many threads there are for each step that may compute: the other waits for the disk.
const THREADS_PER_SLOT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// Makes what the disks of a plan are put together from.
pub(crate) fn shared(plan: &Plan, means: &Means, events: &Events) -> Result<(Shared, Count)> {
    let (run, needed) = Run::to(plan, &plan.goals(), means, events)?;
    let stored = plan
        .graph
        .iter()
        .filter(|(_, step)| step.kind.kept() == Kept::Store);
    let count = Count {
        done: needed.len(),
        cached: stored.filter(|(id, _)| !needed.contains(id)).count(),
    };
    run.protect()?;
    Ok((run.collect()?, count))
}

/// The packages of a plan, unpacked.
pub(crate) fn packages(
    plan: &Plan,
    means: &Means,
    events: &Events,
) -> Result<Vec<(LockedPackage, Arc<UnpackedDeb>)>> {
    let steps = plan.graph.iter();
    let goals: Vec<StepId> = steps
        .filter(|(_, step)| step.kind == Kind::Unpack)
        .map(|(id, _)| id)
        .collect();
    let (run, _) = Run::to(plan, &goals, means, events)?;
    goals
        .iter()
        .map(|id| {
            let step = plan.graph.step(*id);
            let locked = step.inputs.first().and_then(|id| plan.packages.get(id));
            match (locked, run.value(*id)?) {
                (Some(locked), Value::Package(package)) => Ok((locked.clone(), package)),
                _ => Err(CommandError::msg(
                    Failure::Other,
                    format!("{step} gave no package"),
                )),
            }
        })
        .collect()
}

/// Which steps' results are in the store already.
pub(crate) fn at_hand(plan: &Plan, means: &Means) -> Result<BTreeSet<StepId>> {
    plan.graph
        .iter()
        .filter_map(|(id, step)| match is_at_hand(plan, means, id, step) {
            Ok(true) => Some(Ok(id)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        })
        .collect()
}

/// As [`at_hand`], but only as far down from the goals as anybody has to look.
fn at_hand_from(plan: &Plan, means: &Means, goals: &[StepId]) -> Result<BTreeSet<StepId>> {
    let mut found = BTreeSet::new();
    let mut ask: Vec<StepId> = goals.to_vec();
    let mut asked = BTreeSet::new();
    while let Some(id) = ask.pop() {
        if !asked.insert(id) {
            continue;
        }
        let step = plan.graph.step(id);
        if is_at_hand(plan, means, id, step)? {
            found.insert(id);
        } else {
            ask.extend(&step.inputs);
        }
    }
    Ok(found)
}

fn is_at_hand(plan: &Plan, means: &Means, id: StepId, step: &Step) -> Result<bool> {
    match step.kind {
        Kind::Fetch => {
            let package = &plan.packages[&id];
            means
                .store
                .object(package.sha256)
                .map(|found| found.is_some())
        }
        kind if kind.kept() == Kept::Store => means
            .store
            .result(&store_key(step)?)
            .map(|found| found.is_some()),
        _ => return Ok(false),
    }
    .or_fail(Failure::Storage)
}

/// The store's name for a step.
pub(crate) fn store_key(step: &Step) -> Result<StepKey> {
    let kind = StepKind::new(step.kind.name()).or_fail(Failure::Other)?;
    Ok(StepKey::new(kind, step.key))
}

impl<'a> Run<'a> {
    /// Runs what is needed for `goals`; gives the steps that were run, too.
    fn to(
        plan: &'a Plan,
        goals: &[StepId],
        means: &'a Means,
        events: &'a Events,
    ) -> Result<(Self, Vec<StepId>)> {
        let at_hand = at_hand_from(plan, means, goals)?;
        let needed = plan.graph.needed(goals, |id| at_hand.contains(&id));
        let run = Self {
            plan,
            means,
            events,
            values: Mutex::default(),
            progress: Progress::new(plan, &needed, events),
            slots: Slots::new(means.jobs),
        };
        run.all(&needed)?;
        Ok((run, needed))
    }
}

impl Run<'_> {
    fn all(&self, needed: &[StepId]) -> Result<()> {
        let fetches: Vec<StepId> = needed
            .iter()
            .copied()
            .filter(|id| self.plan.graph.step(*id).kind == Kind::Fetch)
            .collect();
        let queue = Queue::new(&self.plan.graph, needed, fetches.clone());
        queue.run(
            self.means.jobs.saturating_mul(THREADS_PER_SLOT),
            |id| {
                let step = self.plan.graph.step(id);
                let _under_way = self.progress.begin(step.kind);
                self.step(id, step)
                    .map_err(|error| error.context(doing(step)))
            },
            || self.fetch(&fetches, &queue),
        )
    }

    /// Fetches packages; each is handed on as soon as it is there.
    fn fetch(&self, fetches: &[StepId], queue: &Queue<'_, CommandError>) -> Result<()> {
        let mut items = Vec::new();
        let mut waiting: BTreeMap<_, Vec<StepId>> = BTreeMap::new();
        for id in fetches {
            let package = &self.plan.packages[id];
            waiting.entry(package.sha256).or_default().push(*id);
            if let Some(object) = self.means.input_at_hand(package.sha256)? {
                self.fetched(&object, &mut waiting, queue);
                continue;
            }
            let archive = if package.suite.as_str().ends_with("-security") {
                Archive::Security
            } else {
                Archive::Main
            };
            items.push(Item {
                what: format!("{} {}", package.name, package.version),
                candidates: self.means.debian(archive, package.path.as_str())?,
                digest: package.sha256,
                size: Some(package.size.get()),
            });
        }
        if items.is_empty() {
            return Ok(());
        }
        let (sender, receiver) = mpsc::channel();
        let sink = Arc::new(StoreSink::new(&self.means.store, sender));
        std::thread::scope(|scope| {
            let fetching = scope.spawn(move || self.means.fetcher.fetch_all(items, sink));
            for object in receiver {
                self.fetched(&object, &mut waiting, queue);
            }
            match fetching.join() {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(fetch_failed(&error)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn fetched(
        &self,
        object: &Object,
        waiting: &mut BTreeMap<imgbuild_base::Digest, Vec<StepId>>,
        queue: &Queue<'_, CommandError>,
    ) {
        for id in waiting.remove(&object.digest()).into_iter().flatten() {
            self.put(id, Value::File(object.clone()));
            queue.done(id);
        }
    }

    /// Runs one step; a result somebody else made meanwhile is taken.
    fn step(&self, id: StepId, step: &Step) -> Result<()> {
        if step.kind.kept() == Kept::Memory {
            let slot = self.slots.take();
            let value = self.run_in_memory(step)?;
            drop(slot);
            self.put(id, value);
            return Ok(());
        }
        let key = store_key(step)?;
        let mut made = None;
        // The store's lock first: whoever waits for another imgbuild's step holds no slot.
        let realised: std::result::Result<Realised, StepFailure> =
            self.means.store.realise(&key, &step.name(), || {
                let _slot = self.slots.take();
                let (mut result, value) = self.run_for_store(id, step)?;
                result.what = step.name();
                result.inputs = self.recorded_inputs(step);
                made = value;
                Ok(result)
            });
        let result = match realised {
            Ok(realised) => realised.into_result(),
            Err(StepFailure(error)) => return Err(error),
        };
        let value = match made {
            Some(value) => value,
            // Another imgbuild made it meanwhile.
            None => self.revive(step, result)?,
        };
        self.put(id, value);
        Ok(())
    }

    /// What decided a result, for `imgbuild why`.
    fn recorded_inputs(&self, step: &Step) -> BTreeMap<String, String> {
        let params = step
            .params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let inputs = step.inputs.iter().map(|id| {
            let input = self.plan.graph.step(*id);
            (input.name(), input.key.to_string())
        });
        params.chain(inputs).collect()
    }

    fn put(&self, id: StepId, value: Value) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.insert(id, value);
    }

    /// What a step gave: from this run, or from the store.
    fn value(&self, id: StepId) -> Result<Value> {
        let known = {
            let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
            values.get(&id).cloned()
        };
        match known {
            Some(value) => Ok(value),
            None => self.load(id),
        }
    }

    fn load(&self, id: StepId) -> Result<Value> {
        let step = self.plan.graph.step(id);
        if step.kind == Kind::Fetch {
            let digest = self.plan.packages[&id].sha256;
            let object = self.means.store.object(digest).or_fail(Failure::Storage)?;
            return object.map(Value::File).ok_or_else(|| vanished(step));
        }
        let result = self
            .means
            .store
            .result(&store_key(step)?)
            .or_fail(Failure::Storage)?
            .ok_or_else(|| vanished(step))?;
        self.revive(step, result)
    }

    /// The object of that name among a result's.
    fn output(&self, result: &StepResult, name: &str) -> Result<Object> {
        let output = result.outputs.get(name).ok_or_else(|| {
            let text = format!("the stored result of {} has no {name}", result.what);
            CommandError::msg(Failure::Storage, text)
                .hint("`imgbuild store verify` removes what is damaged")
        })?;
        let object = self
            .means
            .store
            .object(output.digest)
            .or_fail(Failure::Storage)?;
        object.ok_or_else(|| CommandError::msg(Failure::Storage, format!("{name} is gone")))
    }

    /// Keeps this build's results from being collected as garbage.
    fn protect(&self) -> Result<()> {
        if self.means.store.is_read_only() {
            return Ok(());
        }
        let steps = self
            .plan
            .graph
            .iter()
            .filter(|(_, step)| step.kind.kept() == Kept::Store && step.kind != Kind::Fetch)
            .map(|(_, step)| store_key(step))
            .collect::<Result<BTreeSet<_>>>()?;
        let objects = self
            .plan
            .packages
            .values()
            .map(|package| package.sha256)
            .collect();
        self.means
            .store
            .set_root(&self.plan.name, &steps, &objects)
            .or_fail(Failure::Storage)
    }

    /// What a PC's BIOS starts, if the boot step made it.
    fn loader(&self, boot: &StepResult) -> Result<Option<Loader>> {
        if !boot.outputs.contains_key(steps::LOADER) {
            return Ok(None);
        }
        let bytes = self.output(boot, steps::LOADER)?.bytes();
        let loader = Loader::from_bytes(&bytes.or_fail(Failure::Storage)?);
        loader.map(Some).or_fail(Failure::Storage)
    }

    fn collect(&self) -> Result<Shared> {
        let objects = |id: StepId| match self.value(id)? {
            Value::Objects(result) => Ok(result),
            _ => Err(CommandError::msg(Failure::Other, "a layer that is none")),
        };
        let layer = |prefix: &str, result: &StepResult| {
            let object = self.output(result, steps::LAYER)?;
            let bytes = object.bytes().or_fail(Failure::Storage)?;
            Ok(Layer {
                name: format!("{prefix}-{}.squashfs", object.digest().short()),
                body: Body::known(bytes, object.digest()),
            })
        };
        let unpacked = |result: &StepResult, name: &str| {
            let packed = self.output(result, name)?;
            let packed = packed.bytes().or_fail(Failure::Storage)?;
            pack::decode(&packed).or_fail(Failure::Storage)
        };
        let arch = self.plan.arch;
        let etcds: BTreeMap<StepId, Layer> = (self.plan.etcds.layouts.keys())
            .map(|id| Ok((*id, layer(&format!("10-etcd-{arch}"), &objects(*id)?)?)))
            .collect::<Result<_>>()?;
        let ground = |platform: &Platform| {
            let base = objects(platform.base_layer)?;
            let boot = objects(platform.boot)?;
            let outline = unpacked(&base, steps::OUTLINE)?;
            Ok(Ground {
                layers: vec![
                    layer(&format!("00-base-{arch}"), &base)?,
                    etcds[&platform.etcd_layer].clone(),
                ],
                boot: unpacked(&boot, steps::BOOT)?,
                loader: match platform.image.firmware {
                    Firmware::Hybrid => self.loader(&boot)?,
                    Firmware::Uefi => None,
                },
                image: platform.image,
                below: Below::new(outline.clone()).or_fail(Failure::Storage)?,
                outline,
            })
        };
        let layer_of = self.plan.etcds.layer_of.iter();
        Ok(Shared {
            etcd: layer_of
                .map(|(node, id)| (node.clone(), etcds[id].clone()))
                .collect(),
            grounds: self
                .plan
                .platforms
                .iter()
                .map(ground)
                .collect::<Result<_>>()?,
        })
    }
}

/// Lets the store's errors pass through [`imgbuild_store::Store::realise`].
pub(crate) struct StepFailure(pub(crate) CommandError);

impl From<imgbuild_store::StoreError> for StepFailure {
    fn from(error: imgbuild_store::StoreError) -> Self {
        Self(CommandError::new(Failure::Storage, &error))
    }
}

impl From<CommandError> for StepFailure {
    fn from(error: CommandError) -> Self {
        Self(error)
    }
}

fn vanished(step: &Step) -> CommandError {
    let text = format!("the stored result of {step} vanished while it was needed");
    CommandError::msg(Failure::Storage, text).hint("run the build again")
}

fn doing(step: &Step) -> String {
    let subject = &step.subject;
    match step.kind {
        Kind::Fetch => format!("fetching {subject}"),
        Kind::Unpack => format!("unpacking {subject}"),
        Kind::Compose => format!("composing the base system for {subject}"),
        Kind::BaseLayer => format!("writing the base layer for {subject}"),
        Kind::Boot => format!("making the boot files for {subject}"),
        Kind::Etcd => format!("getting etcd ({subject})"),
        Kind::EtcdLayer => format!("writing the etcd layer for {subject}"),
        Kind::NodeLayer => format!("making the layer of {subject}"),
        Kind::Disk => format!("writing the image of {subject}"),
        Kind::Overlay => format!("writing the archive of {subject}"),
    }
}
