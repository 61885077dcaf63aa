use super::module::name_of;
use super::{Module, ModuleError, canonical};
use crate::packages::Feature;
use crate::{Board, OverlayError, Overlays};
use imgbuild_base::{Kind, Tree, TreePath};
use imgbuild_recipe::values::ModuleName;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A module a board asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its canonical name.
    pub name: String,
    /// Whether it belongs into the initramfs.
    pub early: bool,
    /// Whether a kernel may lack it.
    pub optional: bool,
    /// Whether a recipe names it rather than the board's list.
    pub by_recipe: bool,
}

impl Wanted {
    /// One that a recipe names.
    #[must_use]
    pub fn of_recipe(name: &ModuleName) -> Self {
        Self {
            name: canonical(name.as_str()),
            early: false,
            optional: false,
            by_recipe: true,
        }
    }
}

/// The modules that a board and what a recipe wishes for ask for: `overlays/vm/modules.txt` or
/// `overlays/pi/modules.txt`.
///
/// # Errors
/// [`OverlayError`] when the list is missing or a line is not `early|late NAME [?] [for
/// FEATURE]`.
pub fn wanted(
    overlays: &Overlays,
    board: Board,
    features: &BTreeSet<Feature>,
) -> Result<Vec<Wanted>, OverlayError> {
    let file = match board {
        Board::Vm => "vm/modules.txt",
        Board::RaspberryPi => "pi/modules.txt",
    };
    let mut list = Vec::new();
    for (line, text) in overlays.list(file)? {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let mut wished = true;
        if let [.., "for", feature] = words[..]
            && let Some(feature) = Feature::ALL.iter().find(|it| it.key() == feature)
        {
            wished = features.contains(feature);
            words.truncate(words.len() - 2);
        }
        let (when, name, optional) = match words[..] {
            [when @ ("early" | "late"), name] => (when, name, false),
            [when @ ("early" | "late"), name, "?"] => (when, name, true),
            _ => {
                return Err(OverlayError::Line {
                    file: file.to_owned(),
                    line,
                    problem: format!(
                        "{text:?} is not `early NAME`, `late NAME` or such with `?`, and `for` one \
                         of {}",
                        Feature::ALL.map(Feature::key).join(", ")
                    ),
                });
            }
        };
        if wished {
            list.push(Wanted {
                name: canonical(name),
                early: when == "early",
                optional,
                by_recipe: false,
            });
        }
    }
    Ok(list)
}

/// Why modules cannot be selected.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A module cannot be read.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// Modules of the recipe that are neither files nor built in.
    #[error(
        "kernel {version} of Debian has no module {}: `kernel.modules` of the recipe can only name \
         what the kernel's package has", names.join(", ")
    )]
    Unknown {
        /// The kernel.
        version: String,
        /// Canonical names.
        names: Vec<String>,
    },
    /// Wanted modules that are neither files nor built in.
    #[error(
        "kernel {version} has no module {}: mark it `?` in modules.txt, or see whether \
         prune.txt drops its directory", names.join(", ")
    )]
    Missing {
        /// The kernel.
        version: String,
        /// Canonical names, each with what asks for it.
        names: Vec<String>,
    },
}

/// Modules in an order in which each comes after those it depends on.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// All of them.
    pub all: Vec<Module>,
    /// Names of those that belong into the initramfs, in the order in which to load them.
    pub early: Vec<String>,
}

impl Modules {
    /// The module with that canonical name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Module> {
        self.all.iter().find(|module| module.name == name)
    }
}

/// Reads the wanted modules and all they depend on from `usr/lib/modules/VERSION` of `tree`.
/// What is built into the kernel counts as there.
///
/// # Errors
/// [`SelectError`]: all that is missing at once.
pub fn select(tree: &Tree, version: &str, wanted: &[Wanted]) -> Result<Modules, SelectError> {
    let dir = format!("usr/lib/modules/{version}");
    let files: BTreeMap<String, &TreePath> = tree
        .iter()
        .filter(|(path, entry)| path.is_within(&dir) && matches!(entry.kind, Kind::File(_)))
        .filter_map(|(path, _)| Some((name_of(path)?, path)))
        .collect();
    let built_in = built_in(tree, &dir);

    // Wave by wave, so that the modules of a wave are decompressed side by side.
    let mut read: BTreeMap<String, Module> = BTreeMap::new();
    let (mut missing, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    let mut wave: BTreeMap<String, &str> = BTreeMap::new();
    for want in wanted {
        let name = &want.name;
        if files.contains_key(name) {
            wave.insert(name.clone(), "modules.txt");
        } else if !want.optional && !built_in.contains(name) {
            let lacking = if want.by_recipe {
                &mut unknown
            } else {
                &mut missing
            };
            lacking.insert(name.clone());
        }
    }
    if !unknown.is_empty() {
        return Err(SelectError::Unknown {
            version: version.to_owned(),
            names: unknown.into_iter().collect(),
        });
    }
    while !wave.is_empty() {
        let modules: Vec<Module> = wave
            .par_iter()
            .filter_map(|(name, _)| files.get(name))
            .map(|path| {
                let file = path.as_str()[dir.len() + 1..].to_owned();
                let empty = bytes::Bytes::new();
                Module::read(&file, tree.file(path.as_str()).unwrap_or(&empty))
            })
            .collect::<Result<_, _>>()?;
        wave.clear();
        let mut next = BTreeSet::new();
        for module in modules {
            for need in module.depends() {
                if files.contains_key(&need) {
                    next.insert(need);
                } else if !built_in.contains(&need) {
                    missing.insert(format!("{need} (needed by {})", module.name));
                }
            }
            // Wishes of the module for others to be loaded first, where they exist.
            next.extend(wishes(&module).filter(|name| files.contains_key(name)));
            read.insert(module.name.clone(), module);
        }
        for name in next {
            if !read.contains_key(&name) {
                wave.insert(name, "");
            }
        }
    }
    if !missing.is_empty() {
        return Err(SelectError::Missing {
            version: version.to_owned(),
            names: missing.into_iter().collect(),
        });
    }

    let mut order = Vec::new();
    let mut early = Vec::new();
    for want in wanted.iter().filter(|want| want.early) {
        visit(&read, &want.name, &mut early);
    }
    order.extend(early.iter().cloned());
    for name in read.keys() {
        visit(&read, name, &mut order);
    }
    let all = order.iter().filter_map(|name| read.remove(name)).collect();
    Ok(Modules { all, early })
}

/// Appends a module after all it depends on or wishes for. Cycles (there are none in a kernel
/// that builds) end where they close.
fn visit(modules: &BTreeMap<String, Module>, name: &str, order: &mut Vec<String>) {
    fn walk(
        modules: &BTreeMap<String, Module>,
        name: &str,
        open: &mut Vec<String>,
        order: &mut Vec<String>,
    ) {
        let Some(module) = modules.get(name) else {
            return;
        };
        if order.iter().chain(open.iter()).any(|seen| seen == name) {
            return;
        }
        open.push(name.to_owned());
        for need in wishes(module).chain(module.depends()) {
            walk(modules, &need, open, order);
        }
        open.pop();
        order.push(name.to_owned());
    }
    walk(modules, name, &mut Vec::new(), order);
}

/// Modules to be loaded before this one where they exist (`softdep=pre: a b post: c`).
fn wishes(module: &Module) -> impl Iterator<Item = String> {
    module.values("softdep").flat_map(|text| {
        let pre = text.split("post:").next().unwrap_or("");
        let names = pre.split("pre:").nth(1).unwrap_or("");
        names.split_whitespace().map(canonical).collect::<Vec<_>>()
    })
}

/// Canonical names of what `modules.builtin` lists.
pub(super) fn built_in(tree: &Tree, dir: &str) -> BTreeSet<String> {
    let text = tree
        .file(&format!("{dir}/modules.builtin"))
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .unwrap_or_default();
    text.lines()
        .filter_map(|line| name_of(&TreePath::new(line).ok()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_a_feature_come_with_it() {
        let overlays = Overlays::builtin();
        let names = |board, features: &[Feature]| -> Vec<String> {
            let features = features.iter().copied().collect();
            let wanted = wanted(&overlays, board, &features).unwrap();
            wanted.into_iter().map(|module| module.name).collect()
        };
        for (board, feature, module) in [
            (Board::Vm, Feature::Firewall, "nft_ct"),
            (Board::RaspberryPi, Feature::Firewall, "nft_ct"),
            (Board::RaspberryPi, Feature::Wifi, "brcmfmac"),
        ] {
            let module = module.to_owned();
            assert!(names(board, &[feature]).contains(&module), "{board:?}");
            assert!(!names(board, &[]).contains(&module), "{board:?}");
        }
    }

    #[test]
    fn a_feature_that_does_not_exist_is_no_line() {
        let mut overlays = Overlays::builtin();
        let mut own = Tree::new();
        own.put_file(
            TreePath::new("vm/modules.txt").unwrap(),
            imgbuild_base::Meta::root(0o644, imgbuild_base::Epoch::ZERO),
            "late x for nothing",
        );
        overlays.replace(own);
        let error = wanted(&overlays, Board::Vm, &BTreeSet::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("ssh, wifi, firewall, static-pod"),
            "{error}"
        );
    }
}
