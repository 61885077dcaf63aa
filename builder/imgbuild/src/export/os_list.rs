//! A list of the images for Raspberry Pi Imager, as a repository of its own: `os-list.json`
//! (os-list-schema.json in Imager's sources; `init_format` and `devices` as its own list has
//! them).
//!
//! Imager takes addresses as they stand and knows no relative ones, so the user says where the
//! files will be found. It checks the SHA-256 of what it downloads and of what it writes.

use super::BuiltImage;
use super::NodeDisk;
use super::target::Target;
use crate::assembly::Assembly;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::output::OutDir;
use crate::summary;
use imgbuild_base::{Arch, Digest, Hasher};
use imgbuild_formats::disk;
use imgbuild_recipe::resolved::{Format, Node};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::str::FromStr;

/// The list's name.
pub(super) const NAME: &str = "os-list.json";
/// The version of what is written: a list of another version is made anew.
const VERSION: &str = "imgbuild os list 1";
/// One of the pictures that come with Imager.
const ICON: &str = "icons/use_custom.png";

/// Where the files of a build will be found: an address that ends with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl(String);

/// Why a text is no such address.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not where files can be found: expected an address such as \
     https://images.example.org/home/ or file:///srv/images/home/"
)]
pub(crate) struct BaseUrlError(String);

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let rest = ["https://", "http://", "file:///"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let plain = |c: char| c.is_ascii_graphic() && !"\"<>?#\\^`{|}".contains(c);
        match rest {
            Some(rest) if !rest.is_empty() && rest.chars().all(plain) => {
                Ok(Self(format!("{}/", text.trim_end_matches('/'))))
            }
            _ => Err(BaseUrlError(text.to_owned())),
        }
    }
}

/// What Imager reads.
#[derive(Serialize)]
struct List<'a> {
    os_list: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    name: String,
    description: String,
    icon: &'static str,
    url: String,
    extract_size: u64,
    extract_sha256: Digest,
    image_download_size: u64,
    image_download_sha256: Digest,
    release_date: &'a str,
    /// Imager offers no settings of its own: nodes have theirs from the recipe.
    init_format: &'static str,
    devices: &'static [&'static str],
}

/// What Imager is to download, of all that is written.
pub(super) fn image_format(formats: &BTreeSet<Format>) -> Option<Format> {
    [Format::ImgXz, Format::ImgZst, Format::Img]
        .into_iter()
        .find(|format| formats.contains(format))
}

/// Imager's names of the boards that an image starts on.
const fn devices(arch: Arch) -> &'static [&'static str] {
    match arch {
        // A Zero 2 W goes by the name of the Pi 3, a CM4 by that of the Pi 4.
        Arch::Arm64 => &["pi4-64bit", "pi3-64bit"],
        Arch::Armhf => &["pi3-32bit", "pi2-32bit"],
        Arch::Amd64 => &[],
    }
}

/// Writes the list of these images, unless it is there already.
pub(super) fn write(
    assembly: &Assembly<'_>,
    disks: &[NodeDisk<'_>],
    files: &[BuiltImage],
    out: &mut OutDir,
) -> Result<BuiltImage> {
    let request = assembly.request();
    let base = request.base_url.as_ref().ok_or_else(no_base_url)?;
    let format = image_format(&request.formats);
    let images: Vec<&BuiltImage> = files
        .iter()
        .filter(|file| Some(file.format) == format)
        .collect();
    let mut key = Hasher::new();
    key.field(VERSION).field(&base.0);
    for (image, one) in images.iter().zip(disks) {
        key.field(&image.name).field(one.key.as_bytes());
    }
    let target = Target::new(out, Format::OsList, None, NAME.to_owned(), key.finish());
    if !target.is_missing() {
        return target.done(out, None);
    }
    let raw: Vec<_> = disks
        .iter()
        .map(|one| (&one.disk.image, one.disk.own))
        .collect();
    let (raw, head) = disk::digests(&raw, out.head());
    let recipe = &request.project.recipe;
    let date = summary::date(assembly.plan().epoch);
    let etcd = |node: &Node| match node.etcd.version() {
        Some(version) => format!("etcd {version}"),
        None => "etcd".to_owned(),
    };
    let items = images.iter().zip(disks).zip(raw);
    let os_list = items
        .map(|((image, one), raw)| Item {
            name: format!("{} of {}", one.node.name, recipe.cluster.name),
            description: format!("{} at {}", etcd(one.node), one.node.address),
            icon: ICON,
            url: format!("{}{}", base.0, image.name),
            extract_size: one.disk.image.size().get(),
            extract_sha256: raw,
            image_download_size: image.size,
            image_download_sha256: image.sha256,
            release_date: &date,
            init_format: "none",
            devices: devices(recipe.image.arch),
        })
        .collect();
    let mut text = serde_json::to_vec_pretty(&List { os_list }).or_fail(Failure::Other)?;
    text.push(b'\n');
    out.write(NAME, |mut file| file.write_all(&text))
        .or_fail(Failure::Storage)?;
    out.remember_head(head);
    target.done(out, Some(Digest::of(&text)))
}

/// The list cannot be made without knowing where the images will be.
pub(super) fn no_base_url() -> CommandError {
    let text = "os-list needs the address at which the images will be found";
    CommandError::msg(Failure::Other, text).hint(
        "give it with --base-url, as https://images.example.org/home/ or file:///srv/images/home/: \
         Raspberry Pi Imager knows no relative addresses",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_end_with_one_slash() {
        for good in ["https://a.example/b", "https://a.example/b//"] {
            let url: BaseUrl = good.parse().unwrap();
            assert_eq!(url.0, "https://a.example/b/");
        }
        assert!("file:///srv".parse::<BaseUrl>().is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "a/b",
            "https://",
            "file://srv",
            "ftp://a/",
            "http://a b/",
            "http://a/?x",
        ] {
            assert!(bad.parse::<BaseUrl>().is_err(), "{bad}");
        }
    }
}
