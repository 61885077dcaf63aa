//! The units of the recipe's `[[unit]]` sections: written, changed by drop-ins, started, masked.

use crate::ComposeError;
use crate::below::Below;
use crate::files::Sources;
use crate::layer::Layer;
use imgbuild_base::{Kind, TreePath};
use imgbuild_recipe::resolved::{Content, Start, Unit, UnitAction};
use imgbuild_recipe::systemd::{self, Install};
use imgbuild_recipe::values::UnitName;
use std::collections::BTreeSet;

/// Where units lie, in the order in which the first one found counts.
const DIRS: [&str; 2] = ["etc/systemd/system", "usr/lib/systemd/system"];

/// Adds what the sections say to a node's layer, after all that the builder has for it.
pub(crate) fn add(
    layer: &mut Layer,
    units: &[Unit],
    below: &Below,
    sources: &Sources,
) -> Result<(), ComposeError> {
    let mut work = Work {
        layer,
        below,
        sources,
    };
    for unit in units {
        if let UnitAction::Write {
            content, replace, ..
        } = &unit.action
        {
            work.write(&unit.name, content, *replace)?;
        }
    }
    // What is written may be changed and started by other sections, so these come later.
    for unit in units {
        match &unit.action {
            UnitAction::DropIn { name, content } => {
                work.wanted(&unit.name)?;
                let text = work.text(&unit.name, content, false)?;
                let path = format!("{}/{}.d/{name}.conf", DIRS[0], unit.name);
                work.layer.text(&path, text)?;
            }
            UnitAction::Mask => {
                work.wanted(&unit.name)?;
                let path = format!("{}/{}", DIRS[0], unit.name);
                if work.layer.has(&TreePath::new(&path)?) {
                    return Err(ComposeError::BuildersFile(TreePath::new(&path)?));
                }
                work.layer.link(&path, "/dev/null")?;
            }
            UnitAction::Write { .. } | UnitAction::Enable { .. } => {}
        }
    }
    for unit in units {
        match &unit.action {
            UnitAction::Write { start, .. } | UnitAction::Enable { start } => {
                work.start(&unit.name, start)?;
            }
            UnitAction::DropIn { .. } | UnitAction::Mask => {}
        }
    }
    Ok(())
}

struct Work<'a> {
    layer: &'a mut Layer,
    below: &'a Below,
    sources: &'a Sources,
}

/// Where a unit is defined, and by what.
enum Definition {
    Text { file: TreePath, text: String },
    Masked,
}

impl Work<'_> {
    fn text(&self, name: &UnitName, from: &Content, whole: bool) -> Result<String, ComposeError> {
        let bytes = self.sources.content(from)?;
        let wrong = |problem: String| ComposeError::UnitText {
            unit: name.clone(),
            file: from.source().map(ToString::to_string),
            problem,
        };
        let text = String::from_utf8(bytes.to_vec())
            .map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
        systemd::check(name, &text, whole).map_err(|why| wrong(why.to_string()))?;
        Ok(text)
    }

    fn write(
        &mut self,
        name: &UnitName,
        content: &Content,
        replace: bool,
    ) -> Result<(), ComposeError> {
        let there = self.find(name.as_str(), false)?;
        if there.is_some() && !replace {
            return Err(ComposeError::UnitExists(name.clone()));
        }
        let text = self.text(name, content, true)?;
        self.layer.text(&format!("{}/{name}", DIRS[0]), text)
    }

    /// The unit's definition, above or below; of an instance, with `templates`, its template's.
    fn find(&self, unit: &str, templates: bool) -> Result<Option<Definition>, ComposeError> {
        let template = systemd::template(unit).map(|(template, _)| template);
        let names = [Some(unit.to_owned()), template.filter(|_| templates)];
        for name in names.into_iter().flatten() {
            for dir in DIRS {
                let file = TreePath::new(&format!("{dir}/{name}"))?;
                let found = self.layer.kind(&file).or_else(|| self.below.kind(&file));
                match found {
                    Some(Kind::File(body)) => {
                        let text = String::from_utf8_lossy(body.bytes()).into_owned();
                        return Ok(Some(Definition::Text { file, text }));
                    }
                    Some(Kind::Symlink(target)) if target == "/dev/null" => {
                        return Ok(Some(Definition::Masked));
                    }
                    // Another name of a unit.
                    Some(Kind::Symlink(target)) => {
                        let other = target.rsplit('/').next().unwrap_or_default();
                        if other != name {
                            return self.find(other, templates);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    /// The unit must be there.
    fn wanted(&self, name: &UnitName) -> Result<Definition, ComposeError> {
        let found = self.find(name.as_str(), true)?;
        found.ok_or_else(|| ComposeError::NoUnit(name.to_string()))
    }

    fn start(&mut self, name: &UnitName, start: &Start) -> Result<(), ComposeError> {
        match start {
            Start::Never => Ok(()),
            Start::WantedBy(by) => {
                self.wanted(name)?;
                self.link(name.as_str(), &Install::wanted_by(by)).map(drop)
            }
            Start::Install => {
                let mut open = vec![name.to_string()];
                let mut done = BTreeSet::new();
                while let Some(unit) = open.pop() {
                    if done.insert(unit.clone()) {
                        open.extend(self.install(&unit)?);
                    }
                }
                Ok(())
            }
        }
    }

    /// Enables one unit as its own text says; returns what is enabled with it.
    fn install(&mut self, unit: &str) -> Result<Vec<String>, ComposeError> {
        let install = match self.find(unit, true)? {
            Some(Definition::Text { text, .. }) => Install::of(&text),
            Some(Definition::Masked) => return Err(ComposeError::MaskedUnit(unit.to_owned())),
            None => return Err(ComposeError::NoUnit(unit.to_owned())),
        };
        let install = install.ok_or_else(|| ComposeError::NoInstall(unit.to_owned()))?;
        self.link(unit, &install)
    }

    fn link(&mut self, unit: &str, install: &Install) -> Result<Vec<String>, ComposeError> {
        let target = match self.find(unit, true)? {
            Some(Definition::Text { file, .. }) => file.absolute(),
            _ => return Err(ComposeError::MaskedUnit(unit.to_owned())),
        };
        for link in install.links(unit) {
            self.layer.link(&format!("{}/{link}", DIRS[0]), &target)?;
        }
        Ok(install.also().to_vec())
    }
}
