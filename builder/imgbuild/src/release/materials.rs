//! What images are made from, as bills of materials and provenance name it.

use crate::lock::{Etcd, Lock};
use bytes::Bytes;
use imgbuild_base::{Arch, Digest, Kind, Tree};
use imgbuild_debian::copyright;
use imgbuild_debian::deb::UnpackedDeb;
use imgbuild_debian::lock::LockedPackage;
use imgbuild_golang::GoLock;
use imgbuild_release::licence::Licence;
use imgbuild_release::sbom::Contained;
use imgbuild_release::{Material, MaterialKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All that a lock pins.
pub(crate) fn of_lock(lock: &Lock, arch: Arch) -> Vec<Material> {
    let packages = lock.debian.packages.iter().map(of_package);
    let mut materials: Vec<Material> = packages.collect();
    for etcd in lock.etcds() {
        let own = match etcd {
            Etcd::Release(release) => {
                let archive = release.archives.get(&arch);
                let tag = release.version.tag();
                let archive = archive.map(|digest| Material::archive(&tag, arch, *digest));
                archive.into_iter().collect()
            }
            Etcd::Build(build) => of_go(&build.go),
        };
        // Two etcds may be compiled from some of the same modules.
        for material in own {
            if !materials.contains(&material) {
                materials.push(material);
            }
        }
    }
    materials
}

fn of_package(package: &LockedPackage) -> Material {
    // Updates of a suite belong to its distribution: trixie-security is trixie.
    let suite = package.suite.as_str();
    let suite = suite.split_once('-').map_or(suite, |(plain, _)| plain);
    Material::package(
        package.name.as_str(),
        &package.version.to_string(),
        &package.arch.to_string(),
        suite,
        package.sha256,
    )
}

fn of_go(go: &GoLock) -> Vec<Material> {
    let modules = go.modules().map(|(module, hash)| {
        let h1 = Digest::from_bytes(*hash.as_bytes());
        Material::go_module(&module.path, &module.version, h1)
    });
    let version = go.toolchain.version;
    let bundles = go.toolchain.bundles.iter();
    let toolchains = bundles
        .clone()
        .map(|(host, digest)| Material::toolchain(&version.module_version(*host), *digest));
    let library = bundles
        .take(1)
        .map(|(_, digest)| Material::standard_library(&version.to_string(), *digest));
    modules.chain(toolchains).chain(library).collect()
}

/// What images contain, with licences. `boots` are the files of their boot partitions.
pub(super) fn contained(
    lock: &Lock,
    arch: Arch,
    packages: &[(LockedPackage, Arc<UnpackedDeb>)],
    boots: &[&Tree],
) -> Vec<Contained> {
    let trees: BTreeMap<&str, Tree> = packages
        .iter()
        .map(|(locked, package)| (locked.name.as_str(), package.tree()))
        .collect();
    let materials = of_lock(lock, arch).into_iter();
    materials
        .filter(|material| material.kind.is_contained())
        .map(|material| {
            let mut contained = Contained {
                licences: Default::default(),
                copyright: None,
                files: BTreeMap::new(),
                material,
            };
            let kind = contained.material.kind;
            if matches!(kind, MaterialKind::Package | MaterialKind::Firmware) {
                let name = contained.material.name.as_str();
                if let Some((path, text)) = copyright_of(&trees, name) {
                    let licences = copyright::licences(text).unwrap_or_default();
                    let licences = licences.iter().map(|one| Licence::of_debian(one));
                    contained.licences = licences.collect();
                    contained.copyright = Some(path);
                }
                if let (MaterialKind::Firmware, Some(tree)) = (kind, trees.get(name)) {
                    contained.files = as_they_are(tree, boots);
                }
            }
            contained
        })
        .collect()
}

/// The copyright file of a package and its path; some packages refer to another's by a link in
/// place of their directory (Debian Policy 12.5).
fn copyright_of<'a>(trees: &'a BTreeMap<&str, Tree>, name: &str) -> Option<(String, &'a Bytes)> {
    let directory = format!("usr/share/doc/{name}");
    let own = trees.get(name)?;
    let owner = match &own.at(&directory)?.kind {
        Kind::Symlink(target) => target.rsplit('/').next()?,
        _ => name,
    };
    let path = format!("usr/share/doc/{owner}/copyright");
    let text = trees.get(owner)?.file(&path)?;
    Some((format!("/{path}"), text))
}

/// The files of boot partitions that a package ships with this very content.
fn as_they_are(package: &Tree, boots: &[&Tree]) -> BTreeMap<String, Digest> {
    let digests = |tree: &Tree| -> Vec<(String, Digest)> {
        tree.iter()
            .filter_map(|(path, entry)| match &entry.kind {
                Kind::File(body) => Some((path.to_string(), body.digest())),
                _ => None,
            })
            .collect()
    };
    let shipped: Vec<Digest> = digests(package)
        .into_iter()
        .map(|(_, digest)| digest)
        .collect();
    let files = boots.iter().flat_map(|boot| digests(boot));
    files
        .filter(|(_, digest)| shipped.contains(digest))
        .collect()
}
