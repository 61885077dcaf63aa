//! What a release says of itself, written from the inside to the outside: what is described
//! first, what describes it next, the sums of all and their signature last.

use super::staging::Staging;
use super::{MANIFEST, NOTES, PROVENANCE, Request, SIGNATURE, SUMS, materials, notes, path};
use crate::assembly::Assembly;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::realise;
use imgbuild_base::Tree;
use imgbuild_release::manifest::{self, Builder, ImageRecord};
use imgbuild_release::provenance::{Origin, Statement};
use imgbuild_release::sbom::{Bom, Content};
use imgbuild_release::{Envelope, FileRecord, Manifest, Sums, json};

/// All that documents are written from, and where to.
pub(super) struct Documents<'a> {
    pub(super) request: &'a Request,
    pub(super) assembly: &'a Assembly<'a>,
    pub(super) staging: &'a Staging,
}

impl Documents<'_> {
    /// Writes them; gives the manifest, and every file but the sums and their signature.
    pub(super) fn write(
        &self,
        images: Vec<ImageRecord>,
        layers: Vec<FileRecord>,
    ) -> Result<(Manifest, Vec<FileRecord>)> {
        let project = &self.request.build.project;
        let image = &project.recipe.image;
        let epoch = self.assembly.plan().epoch;
        let about = notes::About {
            name: project.name(),
            recipe: &project.recipe,
            epoch,
            images: &images,
            layers: &layers,
            key: self.request.key.as_ref(),
        };
        let notes = self.staging.put(path(NOTES)?, about.text().as_bytes())?;
        let (recipe, lock) = self.inputs()?;
        let manifest = Manifest {
            version: manifest::VERSION,
            name: project.name().to_owned(),
            builder: Builder::this(),
            epoch,
            board: image.board.as_str().to_owned(),
            arch: image.arch,
            recipe,
            lock,
            sboms: [(image.arch, self.bill()?)].into(),
            notes,
            layers,
            images,
        };
        let text = json(&manifest).or_fail(Failure::Other)?;
        let own = self.staging.put(path(MANIFEST)?, text.as_bytes())?;
        let mut files: Vec<FileRecord> = manifest.files().cloned().chain([own]).collect();
        let provenance = self.provenance(&manifest, &files)?;
        files.push(provenance);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        self.sums(&manifest, &files)?;
        Ok((manifest, files))
    }

    /// Recipe and lock, with which anybody can build the same.
    fn inputs(&self) -> Result<(FileRecord, FileRecord)> {
        let project = &self.request.build.project;
        let name = project.name();
        let lock = project.lock_file()?;
        let (lock, _) = lock.ok_or_else(|| {
            CommandError::msg(Failure::Lock, format!("the lock of {name} has vanished"))
        })?;
        let put = |kind: &str, text: &str| {
            let path = path(&format!("recipe/{name}.{kind}"))?;
            self.staging.put(path, text.as_bytes())
        };
        Ok((put("toml", project.text())?, put("lock", &lock)?))
    }

    fn bill(&self) -> Result<FileRecord> {
        let build = &self.request.build;
        let arch = build.project.recipe.image.arch;
        let plan = self.assembly.plan();
        let packages = realise::packages(plan, &build.means, &build.events)?;
        let grounds = self.assembly.shared().grounds().iter();
        let boots: Vec<&Tree> = grounds.map(|ground| &ground.boot).collect();
        let bill = Bom::new(&Content {
            name: build.project.name(),
            arch,
            epoch: plan.epoch,
            parts: materials::contained(&build.lock, arch, &packages, &boots),
        });
        let text = json(&bill.or_fail(Failure::Other)?).or_fail(Failure::Other)?;
        let path = path(&format!("sbom-{arch}.cdx.json"))?;
        self.staging.put(path, text.as_bytes())
    }

    fn provenance(&self, manifest: &Manifest, files: &[FileRecord]) -> Result<FileRecord> {
        let outputs = files.iter().map(|file| (file.path.clone(), file.sha256));
        let outputs: Vec<_> = outputs.collect();
        let statement = Statement::new(&Origin {
            name: &manifest.name,
            builder: &manifest.builder,
            epoch: manifest.epoch,
            recipe: &manifest.recipe,
            lock: &manifest.lock,
            secrets: self.request.secrets,
            packing: self.request.packing,
            materials: &materials::of_lock(&self.request.build.lock, manifest.arch),
            outputs: &outputs,
        });
        let statement = serde_json::to_vec(&statement).or_fail(Failure::Other)?;
        let envelope = Envelope::seal(&statement, self.request.key.as_ref());
        let line = envelope.to_line().or_fail(Failure::Other)?;
        self.staging.put(path(PROVENANCE)?, line.as_bytes())
    }

    fn sums(&self, manifest: &Manifest, files: &[FileRecord]) -> Result<()> {
        let each = files.iter().map(|file| (file.path.clone(), file.sha256));
        let sums = each.collect::<Sums>().to_string();
        self.staging.put(path(SUMS)?, sums.as_bytes())?;
        if let Some(key) = &self.request.key {
            let comment = format!("imgbuild release {} {}", manifest.name, manifest.epoch);
            let signature = key.sign(sums.as_bytes(), &comment);
            self.staging.put(path(SIGNATURE)?, signature.as_bytes())?;
        }
        Ok(())
    }
}
