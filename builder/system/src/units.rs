//! Enabling and masking systemd's units, as `systemctl enable` and `systemctl mask` do: by
//! links, following the `[Install]` section (systemd.unit(5)).

use crate::resolve::resolve;
use imgbuild_base::{Epoch, Kind, Tree, TreePath};
pub(crate) use imgbuild_recipe::systemd::section;
use imgbuild_recipe::systemd::{Install, template};
use std::collections::BTreeSet;

/// Where units lie, in the order in which the first one found counts.
pub const DIRS: [&str; 2] = ["etc/systemd/system", "usr/lib/systemd/system"];

/// Why a unit cannot be enabled or masked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitsError {
    /// There is no such unit.
    #[error(
        "unit {0} cannot be enabled: it is neither below /etc/systemd/system nor below /usr/lib/systemd/system"
    )]
    Missing(String),
    /// It has nothing to be enabled by.
    #[error("unit {0} cannot be enabled: it has no [Install] section")]
    NoInstall(String),
    /// It was masked.
    #[error("unit {0} cannot be enabled: it is masked")]
    Masked(String),
    /// A name that is no path component.
    #[error("{0:?} is not the name of a unit")]
    Name(String),
}

fn path(unit: &str, text: &str) -> Result<TreePath, UnitsError> {
    if unit.contains('/') {
        return Err(UnitsError::Name(unit.to_owned()));
    }
    TreePath::new(text).map_err(|_| UnitsError::Name(unit.to_owned()))
}

/// The file that defines a unit, through links and for an instance its template.
#[must_use]
pub fn find(tree: &Tree, unit: &str) -> Option<TreePath> {
    let names = [Some(unit.to_owned()), template(unit).map(|(name, _)| name)];
    for name in names.into_iter().flatten() {
        for dir in DIRS {
            let here = TreePath::new(&format!("{dir}/{name}")).ok()?;
            if tree.get(&here).is_some() {
                return Some(here);
            }
        }
    }
    None
}

/// Whether the unit's file is a link to `/dev/null`.
#[must_use]
pub fn is_masked(tree: &Tree, unit: &str) -> bool {
    find(tree, unit)
        .and_then(|found| tree.get(&found))
        .is_some_and(|entry| entry.kind == Kind::Symlink("/dev/null".to_owned()))
}

/// Enables a unit and what its `Also=` names.
///
/// # Errors
/// [`UnitsError`].
pub fn enable(tree: &mut Tree, unit: &str, epoch: Epoch) -> Result<(), UnitsError> {
    let mut done = BTreeSet::new();
    let mut open = vec![unit.to_owned()];
    while let Some(unit) = open.pop() {
        if done.insert(unit.clone()) {
            open.extend(enable_one(tree, &unit, epoch)?);
        }
    }
    Ok(())
}

/// Returns what `Also=` names.
fn enable_one(tree: &mut Tree, unit: &str, epoch: Epoch) -> Result<Vec<String>, UnitsError> {
    let missing = || UnitsError::Missing(unit.to_owned());
    if is_masked(tree, unit) {
        return Err(UnitsError::Masked(unit.to_owned()));
    }
    let found = find(tree, unit).ok_or_else(missing)?;
    let file = resolve(tree, found.as_str()).ok_or_else(missing)?;
    let text = tree.file(file.as_str()).ok_or_else(missing)?;
    let text = String::from_utf8_lossy(text).into_owned();
    let install = Install::of(&text).ok_or_else(|| UnitsError::NoInstall(unit.to_owned()))?;
    for link in install.links(unit) {
        let at = TreePath::new(&format!("{}/{link}", DIRS[0]))
            .map_err(|_| UnitsError::Name(unit.to_owned()))?;
        tree.put_link(at, file.absolute(), epoch);
    }
    Ok(install.also().to_vec())
}

/// Masks a unit, whether it exists or not.
///
/// # Errors
/// [`UnitsError::Name`].
pub fn mask(tree: &mut Tree, unit: &str, epoch: Epoch) -> Result<(), UnitsError> {
    let link = path(unit, &format!("{}/{unit}", DIRS[0]))?;
    tree.put_link(link, "/dev/null", epoch);
    Ok(())
}

/// Every link that makes a unit start: its path and the unit's name.
pub(crate) fn started(tree: &Tree) -> Vec<(TreePath, String)> {
    let mut found = Vec::new();
    for (at, _) in tree.iter() {
        let Some(dir) = at.parent() else { continue };
        let below = DIRS
            .iter()
            .any(|d| dir.parent().is_some_and(|up| up.as_str() == *d));
        let starts = [".wants", ".requires", ".upholds"];
        if below && starts.iter().any(|suffix| dir.name().ends_with(suffix)) {
            found.push((at.clone(), at.name().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgbuild_base::Meta;

    fn tree(units: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (name, text) in units {
            let path = TreePath::new(&format!("usr/lib/systemd/system/{name}")).unwrap();
            tree.put_file(path, Meta::root(0o644, Epoch::ZERO), (*text).to_owned());
        }
        tree
    }

    fn links(tree: &Tree) -> Vec<String> {
        tree.iter()
            .filter_map(|(path, entry)| match &entry.kind {
                Kind::Symlink(target) => Some(format!("{path} -> {target}")),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn follows_the_install_section() {
        let mut tree = tree(&[
            (
                "a.service",
                "[Unit]\nWantedBy=no.target\n[Install]\n# WantedBy=no.target\nWantedBy=x.target y.target\n\
                 RequiredBy=z.target\nAlias=%p-too.service\nAlso=b@.service\n",
            ),
            (
                "b@.service",
                "[Install]\nWantedBy=x.target\nDefaultInstance=one\n",
            ),
        ]);
        enable(&mut tree, "a.service", Epoch::ZERO).unwrap();
        assert_eq!(
            links(&tree),
            [
                "etc/systemd/system/a-too.service -> /usr/lib/systemd/system/a.service",
                "etc/systemd/system/x.target.wants/a.service -> /usr/lib/systemd/system/a.service",
                "etc/systemd/system/x.target.wants/b@one.service -> /usr/lib/systemd/system/b@.service",
                "etc/systemd/system/y.target.wants/a.service -> /usr/lib/systemd/system/a.service",
                "etc/systemd/system/z.target.requires/a.service -> /usr/lib/systemd/system/a.service",
            ]
        );
        assert_eq!(started(&tree).len(), 4);
    }

    #[test]
    fn refuses_what_cannot_be_enabled() {
        let mut tree = tree(&[("a.service", "[Service]\nType=simple\n")]);
        mask(&mut tree, "c.service", Epoch::ZERO).unwrap();
        assert!(is_masked(&tree, "c.service"));
        let mut fails = |unit: &str| enable(&mut tree, unit, Epoch::ZERO).unwrap_err();
        assert_eq!(
            fails("a.service"),
            UnitsError::NoInstall("a.service".into())
        );
        assert_eq!(fails("b.service"), UnitsError::Missing("b.service".into()));
        assert_eq!(fails("c.service"), UnitsError::Masked("c.service".into()));
    }

    #[test]
    fn an_instance_is_found_through_its_template() {
        let tree = tree(&[("b@.service", "")]);
        let found = find(&tree, "b@tty1.service").unwrap();
        assert_eq!(found.as_str(), "usr/lib/systemd/system/b@.service");
    }
}
