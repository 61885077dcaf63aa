//! How two locks differ, for the user's eyes.

use super::{Etcd, Lock};
use crate::messages::lock::Change;
use std::collections::BTreeMap;
use std::fmt;

/// What changed, sorted by name.
pub(crate) fn diff(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let before = old.map(versions).unwrap_or_default();
    let after = versions(new);
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| Change {
            what: name.clone(),
            old: before.get(name).cloned(),
            new: after.get(name).cloned(),
        })
        .collect()
}

/// Every input and its version. Equal versions of other bytes are told apart by their digest.
fn versions(lock: &Lock) -> BTreeMap<String, String> {
    let packages = lock.debian.packages.iter().map(|package| {
        let version = format!("{} ({})", package.version, package.sha256.short());
        (package.name.to_string(), version)
    });
    let etcd = lock.etcds().enumerate().flat_map(|(at, etcd)| {
        // Where nodes have several, their versions tell the further ones apart.
        let of = |version: &dyn fmt::Display| match at {
            0 => String::new(),
            _ => format!(" {version}"),
        };
        match etcd {
            Etcd::Release(release) => {
                let own = of(&release.version);
                vec![(format!("etcd{own}"), format!("{} release", release.version))]
            }
            Etcd::Build(build) => {
                let own = of(&build.version);
                vec![
                    (
                        format!("etcd{own}"),
                        format!("{} from modules", build.version),
                    ),
                    (format!("go{own}"), build.go.toolchain.version.to_string()),
                    (format!("go modules{own}"), build.go.modules.short()),
                ]
            }
        }
    });
    packages.chain(etcd).collect()
}
