//! What was cut too deep, found while building rather than at boot: [`check`] lists every
//! library that is asked for but not in the tree, every unit that is to start but does not
//! exist, and every user or group that units and tmpfiles name but passwd and group lack.

use crate::elf;
use crate::resolve::resolve;
use crate::units;
use crate::users::words;
use imgbuild_base::{Arch, Kind, Tree};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fmt;

/// One thing that is missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// A program asks for a library that is nowhere the dynamic linker looks.
    Library {
        /// The program.
        file: String,
        /// The library.
        library: String,
    },
    /// A program's interpreter is missing.
    Interpreter {
        /// The program.
        file: String,
        /// The interpreter.
        interpreter: String,
    },
    /// A unit is to be started but has no file.
    Unit {
        /// What starts it.
        link: String,
        /// The unit.
        unit: String,
    },
    /// A unit or a tmpfiles entry names a user that does not exist.
    User {
        /// The unit or the tmpfiles entry.
        file: String,
        /// The user.
        user: String,
    },
    /// The same for a group.
    Group {
        /// The unit or the tmpfiles entry.
        file: String,
        /// The group.
        group: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library { file, library } => write!(f, "/{file} needs {library}"),
            Self::Interpreter { file, interpreter } => write!(f, "/{file} is run by {interpreter}"),
            Self::Unit { link, unit } => write!(f, "/{link} starts {unit}"),
            Self::User { file, user } => write!(f, "/{file} names the user {user}"),
            Self::Group { file, group } => write!(f, "/{file} names the group {group}"),
        }
    }
}

/// The tree is not whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} things are missing in the image:\n{}\nadd the packages that have them to the recipe, or \
     what prune.txt drops",
    .0.len(),
    .0.iter().map(|finding| format!("  {finding}, which is not there")).collect::<Vec<_>>().join("\n")
)]
pub struct CheckError(pub Vec<Finding>);

/// Checks a whole root: the layers of a node merged, or the base layer alone.
///
/// # Errors
/// [`CheckError`] with everything that is missing.
pub fn check(tree: &Tree, arch: Arch) -> Result<(), CheckError> {
    let mut findings = libraries(tree, arch);
    findings.extend(missing_units(tree));
    findings.extend(accounts(tree));
    if findings.is_empty() {
        Ok(())
    } else {
        Err(CheckError(findings.into_iter().collect()))
    }
}

/// Checks what a node's own layer adds to the layers below it: units that are to start must be
/// there, and users and groups that units name.
///
/// # Errors
/// [`CheckError`] with everything that is missing.
pub fn check_node(below: &Tree, own: &Tree) -> Result<(), CheckError> {
    let mut whole = below.clone();
    for (path, entry) in own.iter() {
        whole.put(path.clone(), entry.clone());
    }
    let findings: BTreeSet<Finding> = missing_units(&whole).chain(accounts(&whole)).collect();
    if findings.is_empty() {
        Ok(())
    } else {
        Err(CheckError(findings.into_iter().collect()))
    }
}

fn libraries(tree: &Tree, arch: Arch) -> BTreeSet<Finding> {
    let triplet = arch.triplet();
    let standard = [
        format!("usr/lib/{triplet}"),
        format!("usr/local/lib/{triplet}"),
        "usr/lib".to_owned(),
        "usr/lib64".to_owned(),
    ];
    let files: Vec<_> = tree
        .iter()
        .filter_map(|(path, entry)| match &entry.kind {
            // Modules are the kernel's, device trees and firmware nobody's.
            Kind::File(body) if !path.is_within("usr/lib/modules") => Some((path, body)),
            _ => None,
        })
        .collect();
    files
        .par_iter()
        .filter_map(|(path, body)| Some((path, elf::dynamic(body.bytes())?)))
        .flat_map_iter(|(path, dynamic)| {
            let file = path.as_str().to_owned();
            let origin = path.parent().map_or(String::new(), |dir| dir.absolute());
            let dirs: Vec<String> = dynamic
                .search
                .iter()
                .map(|dir| {
                    dir.replace("${ORIGIN}", &origin)
                        .replace("$ORIGIN", &origin)
                })
                .chain(standard.iter().cloned())
                // Whoever found a library in a directory of its own knows that directory.
                .chain(dynamic.interpreter.is_none().then(|| origin.clone()))
                .collect();
            let mut found = Vec::new();
            if let Some(interpreter) = dynamic.interpreter
                && resolve(tree, &interpreter).is_none()
            {
                let file = file.clone();
                found.push(Finding::Interpreter { file, interpreter });
            }
            for library in dynamic.needed {
                if !dirs
                    .iter()
                    .any(|dir| resolve(tree, &format!("{dir}/{library}")).is_some())
                {
                    let file = file.clone();
                    found.push(Finding::Library { file, library });
                }
            }
            found
        })
        .collect()
}

fn missing_units(tree: &Tree) -> impl Iterator<Item = Finding> {
    units::started(tree)
        .into_iter()
        .filter(|(_, unit)| units::find(tree, unit).is_none())
        .map(|(link, unit)| Finding::Unit {
            link: link.as_str().to_owned(),
            unit,
        })
}

/// First fields of a file such as passwd.
fn names(tree: &Tree, file: &str) -> BTreeSet<String> {
    let text = tree.file(file).cloned().unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let names = text.lines().filter_map(|line| line.split(':').next());
    names.map(str::to_owned).collect()
}

/// Where tmpfiles.d(5) is read from.
const TMPFILES: [&str; 2] = ["etc/tmpfiles.d", "usr/lib/tmpfiles.d"];

fn accounts(tree: &Tree) -> Vec<Finding> {
    let users = names(tree, "etc/passwd");
    let groups = names(tree, "etc/group");
    let mut found = Vec::new();
    let mut look = |file: &str, user: Option<&str>, group: Option<&str>| {
        let open = |name: &&str| {
            !matches!(*name, "" | "-") && !name.contains('%') && name.parse::<u32>().is_err()
        };
        let file = file.to_owned();
        if let Some(user) = user.filter(open).filter(|name| !users.contains(*name)) {
            let (file, user) = (file.clone(), user.to_owned());
            found.push(Finding::User { file, user });
        }
        if let Some(group) = group.filter(open).filter(|name| !groups.contains(*name)) {
            let group = group.to_owned();
            found.push(Finding::Group { file, group });
        }
    };
    for (path, entry) in tree.iter() {
        let Kind::File(body) = &entry.kind else {
            continue;
        };
        let unit = units::DIRS.iter().any(|dir| path.is_within(dir));
        let tmpfiles = TMPFILES.iter().any(|dir| path.is_within(dir));
        if !unit && !tmpfiles {
            continue;
        }
        let text = String::from_utf8_lossy(body.bytes());
        if unit {
            for name in ["Service", "Socket"] {
                let section = units::section(&text, name);
                let dynamic = section.iter().any(|(key, value)| {
                    *key == "DynamicUser" && matches!(*value, "yes" | "true" | "1")
                });
                for (key, value) in section {
                    match key {
                        "User" | "SocketUser" if !dynamic => look(path.as_str(), Some(value), None),
                        "Group" | "SocketGroup" if !dynamic => {
                            look(path.as_str(), None, Some(value))
                        }
                        "SupplementaryGroups" => {
                            for group in value.split_whitespace() {
                                look(path.as_str(), None, Some(group));
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
        if tmpfiles {
            for line in text.lines() {
                // type, path, mode, user, group
                if let [_, _, _, user, rest @ ..] = &words(line)[..] {
                    let group = rest.first().map(|group| group.trim_start_matches(':'));
                    look(path.as_str(), Some(user.trim_start_matches(':')), group);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgbuild_base::{Epoch, Meta, TreePath};

    fn put(tree: &mut Tree, path: &str, bytes: impl Into<bytes::Bytes>) {
        let path = TreePath::new(path).unwrap();
        tree.put_file(path, Meta::root(0o755, Epoch::ZERO), bytes);
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once() {
        let mut tree = Tree::new();
        // The test itself is a dynamically linked program of this host.
        let own = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        let dynamic = elf::dynamic(&own).unwrap();
        put(&mut tree, "usr/bin/own", own);
        put(&mut tree, "etc/passwd", "root:x:0:0::/:/bin/sh\n");
        put(&mut tree, "etc/group", "root:x:0:\n");
        put(
            &mut tree,
            "usr/lib/systemd/system/a.service",
            "[Service]\nUser=nobody-here\nGroup=root\n",
        );
        put(
            &mut tree,
            "usr/lib/tmpfiles.d/a.conf",
            "d /run/a 0755 root gone - -\n",
        );
        let link = TreePath::new("etc/systemd/system/x.target.wants/b.service").unwrap();
        tree.put_link(link, "/usr/lib/systemd/system/b.service", Epoch::ZERO);

        let CheckError(found) = check(&tree, Arch::Amd64).unwrap_err();
        let library = dynamic.needed[0].clone();
        let file = "usr/bin/own".to_owned();
        assert!(found.contains(&Finding::Library {
            file: file.clone(),
            library
        }));
        let interpreter = dynamic.interpreter.unwrap();
        assert!(found.contains(&Finding::Interpreter { file, interpreter }));
        assert_eq!(found.len(), dynamic.needed.len() + 4);

        // And nothing is said once it is there.
        put(
            &mut tree,
            "etc/passwd",
            "root:x:0:0::/:/bin/sh\nnobody-here:x:1:1::/:/bin/sh\n",
        );
        put(&mut tree, "etc/group", "root:x:0:\ngone:x:1:\n");
        put(&mut tree, "usr/lib/systemd/system/b.service", "");
        for library in &dynamic.needed {
            put(
                &mut tree,
                &format!("usr/lib/x86_64-linux-gnu/{library}"),
                "",
            );
        }
        put(&mut tree, "usr/lib64/ld-linux-x86-64.so.2", "");
        tree.put_link(TreePath::new("lib64").unwrap(), "usr/lib64", Epoch::ZERO);
        let left = check(&tree, Arch::Amd64);
        assert!(left.is_ok(), "{left:?}");
    }
}
