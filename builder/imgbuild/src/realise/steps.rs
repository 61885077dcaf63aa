//! What each kind of step does, and how its stored result comes back to life.

use super::{Run, Value, pack};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::plan::graph::{Kind, Step, StepId};
use bytes::Bytes;
use imgbuild_base::Tree;
use imgbuild_debian::deb::{self, UnpackedDeb};
use imgbuild_etcd::{EtcdBinaries, PROGRAMS, container};
use imgbuild_formats::squashfs::{self, Level};
use imgbuild_store::{Object, Output, StepResult};
use imgbuild_system::packages::Feature;
use imgbuild_system::{Base, Request, boot, check, compose, outline};
use std::io::Write;
use std::sync::Arc;

/// The name of a layer among a step's outputs.
pub(super) const LAYER: &str = "layer";
/// The name of a packed base layer's outline among a step's outputs.
pub(super) const OUTLINE: &str = "outline";
/// The name of the packed boot files among a step's outputs.
pub(super) const BOOT: &str = "boot";
/// The name of what a PC's BIOS starts among a step's outputs; not every boot step has it.
pub(super) const LOADER: &str = "loader";

const PACKAGE: &str = "package";
const ORIGIN: &str = "origin";

/// A stored result, and the value that made it when others can use it without the store.
type Made = (StepResult, Option<Value>);

impl Run<'_> {
    /// Runs a step whose result is kept in the store.
    pub(super) fn run_for_store(&self, id: StepId, step: &Step) -> Result<Made> {
        match step.kind {
            Kind::Unpack => self.unpack(step),
            Kind::BaseLayer => self.base_layer(step),
            Kind::Boot => self.boot(step),
            Kind::Etcd => self.etcd(id, step),
            Kind::EtcdLayer => self.etcd_layer(id, step),
            Kind::Fetch | Kind::Compose | Kind::NodeLayer | Kind::Disk | Kind::Overlay => {
                Err(misplaced(step))
            }
        }
    }

    /// Runs a step whose result is not kept.
    pub(super) fn run_in_memory(&self, step: &Step) -> Result<Value> {
        match step.kind {
            Kind::Compose => self.compose(step),
            _ => Err(misplaced(step)),
        }
    }

    /// The value of a step that was not run, from its stored result.
    pub(super) fn revive(&self, step: &Step, result: StepResult) -> Result<Value> {
        let bytes = |name: &str| {
            self.output(&result, name)?
                .bytes()
                .or_fail(Failure::Storage)
        };
        match step.kind {
            Kind::Unpack => {
                let package = UnpackedDeb::decode(&bytes(PACKAGE)?);
                Ok(Value::Package(Arc::new(package.or_fail(Failure::Storage)?)))
            }
            Kind::Etcd => {
                let programs = PROGRAMS
                    .into_iter()
                    .map(|name| Ok((name.to_owned(), bytes(name)?)))
                    .collect::<Result<_>>()?;
                let origin = serde_json::from_slice(&bytes(ORIGIN)?).or_fail(Failure::Storage)?;
                let binaries = EtcdBinaries::new(self.plan.arch, programs, origin);
                Ok(Value::Etcd(Arc::new(binaries.or_fail(Failure::Storage)?)))
            }
            _ => Ok(Value::Objects(result)),
        }
    }

    fn unpack(&self, step: &Step) -> Result<Made> {
        let file = match self.value(step.inputs[0])? {
            Value::File(object) => object,
            _ => return Err(misplaced(step)),
        };
        let bytes = file.bytes().or_fail(Failure::Storage)?;
        let keep = self.plan.keep(&step.subject);
        let package = deb::unpack(&bytes, &|path| keep.path(path)).or_fail(Failure::Verify)?;
        let object = self.put_object(&[&package.encode_manifest(), package.pack()])?;
        let result = outputs([(PACKAGE, &object)]);
        // The mapped object takes the place of the buffer, which is given back.
        let mapped = object.bytes().or_fail(Failure::Storage)?;
        let package = UnpackedDeb::decode(&mapped).or_fail(Failure::Storage)?;
        Ok((result, Some(Value::Package(Arc::new(package)))))
    }

    fn compose(&self, step: &Step) -> Result<Value> {
        let packages = step
            .inputs
            .iter()
            .map(|input| match self.value(*input)? {
                Value::Package(package) => Ok(UnpackedDeb::clone(&package)),
                _ => Err(misplaced(step)),
            })
            .collect::<Result<Vec<_>>>()?;
        let base = compose(&Request {
            board: self.plan.board,
            arch: self.plan.arch,
            epoch: self.plan.epoch,
            overlays: &self.plan.overlays,
            features: &self.plan.features,
            packages: &packages,
            modules: &self.plan.modules,
        });
        let whose = match &base {
            Err(error) if error.is_the_recipes() => Failure::Recipe,
            _ => Failure::Other,
        };
        Ok(Value::Base(Arc::new(base.or_fail(whose)?)))
    }

    fn base(&self, step: &Step) -> Result<Arc<Base>> {
        match self.value(step.inputs[0])? {
            Value::Base(base) => Ok(base),
            _ => Err(misplaced(step)),
        }
    }

    fn base_layer(&self, step: &Step) -> Result<Made> {
        let base = self.base(step)?;
        check::check(&base.tree, self.plan.arch)
            .or_fail(Failure::Other)
            .map_err(|error| error.context("checking the base system"))?;
        let layer = self.squash(&base.tree)?;
        let outline = pack::encode(&outline(&base.tree)).or_fail(Failure::Other)?;
        let outline = self.put_object(&[&outline])?;
        Ok((outputs([(LAYER, &layer), (OUTLINE, &outline)]), None))
    }

    fn boot(&self, step: &Step) -> Result<Made> {
        let base = self.base(step)?;
        let args = step.params.get("args").map_or("", String::as_str);
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        let boot = boot::make(
            &base,
            &boot::Options {
                board: self.plan.board,
                arch: self.plan.arch,
                epoch: self.plan.epoch,
                overlays: &self.plan.overlays,
                command_line: &args,
                bios: self.plan.features.contains(&Feature::Bios),
            },
        );
        let whose = match &boot {
            Err(error) if error.is_the_recipes() => Failure::Recipe,
            _ => Failure::Other,
        };
        let boot = boot.or_fail(whose)?;
        let packed = self.put_object(&[&pack::encode(&boot.files).or_fail(Failure::Other)?])?;
        let mut result = outputs([(BOOT, &packed)]);
        if let Some(loader) = &boot.loader {
            let object = self.put_object(&[&loader.to_bytes()])?;
            result
                .outputs
                .insert(LOADER.to_owned(), Output::from(&object));
        }
        Ok((result, None))
    }

    fn etcd(&self, id: StepId, step: &Step) -> Result<Made> {
        let binaries = self.etcd_binaries(id, step)?;
        let origin = serde_json::to_vec(binaries.origin()).or_fail(Failure::Other)?;
        let mut result = outputs([(ORIGIN, &self.put_object(&[&origin])?)]);
        for (name, bytes) in binaries.iter() {
            let object = self.put_object(&[bytes])?;
            result
                .outputs
                .insert(name.to_owned(), Output::from(&object));
        }
        Ok((result, Some(Value::Etcd(Arc::new(binaries)))))
    }

    fn etcd_layer(&self, id: StepId, step: &Step) -> Result<Made> {
        let layout = self.plan.etcds.layouts.get(&id);
        let layout = layout.ok_or_else(|| misplaced(step))?;
        let binaries = match self.value(step.inputs[0])? {
            Value::Etcd(binaries) => binaries,
            Value::Objects(result) => {
                let step = self.plan.graph.step(step.inputs[0]);
                match self.revive(step, result)? {
                    Value::Etcd(binaries) => binaries,
                    _ => return Err(misplaced(step)),
                }
            }
            _ => return Err(misplaced(step)),
        };
        let mut tree = binaries
            .layer_tree(&layout.bin_dir, self.plan.epoch)
            .or_fail(Failure::Other)?;
        if let Some(image) = &layout.container {
            let pause = self.pause_program(step)?;
            let store = container::store(&binaries, &pause, image.clone(), self.plan.epoch)
                .or_fail(Failure::Other)?;
            tree.merge(store).or_fail(Failure::Other)?;
        }
        let layer = self.squash(&tree)?;
        Ok((outputs([(LAYER, &layer)]), None))
    }

    /// The program that holds a pod together, from its package: the second input.
    fn pause_program(&self, step: &Step) -> Result<Bytes> {
        let input = step.inputs.get(1).ok_or_else(|| misplaced(step))?;
        let Value::Package(package) = self.value(*input)? else {
            return Err(misplaced(step));
        };
        let program = package.tree().file(container::PAUSE_PROGRAM).cloned();
        program.ok_or_else(|| {
            let text = format!(
                "the package {} has no /{}",
                container::PAUSE_PACKAGE,
                container::PAUSE_PROGRAM
            );
            CommandError::msg(Failure::Verify, text)
                .hint("this imgbuild knows Debian 13's: use the lock it was made with")
        })
    }

    fn squash(&self, tree: &Tree) -> Result<Object> {
        let options = squashfs::Options {
            level: Level::new(self.plan.zstd_level).or_fail(Failure::Other)?,
            ..squashfs::Options::new(self.plan.epoch)
        };
        let mut writer = self.means.store.seek_writer().or_fail(Failure::Storage)?;
        squashfs::write(tree, &options, &mut writer).or_fail(Failure::Storage)?;
        let commit = || writer.commit().or_fail(Failure::Storage);
        self.slots.meanwhile(commit)
    }

    /// Puts these bytes, one part after the other, into the store as one object.
    fn put_object(&self, parts: &[&[u8]]) -> Result<Object> {
        let mut writer = self.means.store.writer().or_fail(Failure::Storage)?;
        for part in parts {
            writer.write_all(part).or_fail(Failure::Storage)?;
        }
        let commit = || writer.commit().or_fail(Failure::Storage);
        self.slots.meanwhile(commit)
    }
}

fn outputs<const N: usize>(objects: [(&str, &Object); N]) -> StepResult {
    let outputs = objects
        .into_iter()
        .map(|(name, object)| (name.to_owned(), Output::from(object)))
        .collect();
    StepResult {
        outputs,
        ..StepResult::default()
    }
}

/// A step that was given to the wrong place; the graph does not make such.
fn misplaced(step: &Step) -> CommandError {
    CommandError::msg(
        Failure::Other,
        format!("{step} has an input of the wrong kind"),
    )
}
