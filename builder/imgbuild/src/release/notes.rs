//! `RELEASE.md`: what a person reads first.

use super::SUMS;
use crate::summary::date;
use imgbuild_base::{ByteSize, Epoch};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::Board;
use imgbuild_release::FileRecord;
use imgbuild_release::manifest::{ImageRecord, Packing};
use imgbuild_release::sign::SigningKey;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What the notes tell of.
pub(super) struct About<'a> {
    pub(super) name: &'a str,
    pub(super) recipe: &'a Recipe,
    pub(super) epoch: Epoch,
    pub(super) images: &'a [ImageRecord],
    pub(super) layers: &'a [FileRecord],
    pub(super) key: Option<&'a SigningKey>,
}

impl About<'_> {
    /// The text (Markdown).
    pub(super) fn text(&self) -> String {
        let (name, recipe) = (self.name, self.recipe);
        let image = &recipe.image;
        let machine = match image.board {
            Board::Vm => "virtual machines that start by UEFI",
            Board::RaspberryPi => "Raspberry Pi",
        };
        let sources = recipe.etcd_sources().into_iter();
        let etcds: BTreeSet<String> = sources
            .map(|source| match source.version() {
                Some(version) => format!("etcd {version}"),
                None => "Debian's etcd".to_owned(),
            })
            .collect();
        let etcd = Vec::from_iter(etcds).join(", ");
        let nodes: Vec<&str> = recipe.nodes.iter().map(|node| node.name.as_str()).collect();
        let mut text = format!(
            "# {name}\n\nDisk images of an etcd cluster, made by imgbuild {} from the recipe and \
             lock in `recipe/`; inputs as of {}.\n\n\
             - machines: {machine}, {}\n- {etcd} on Debian {}\n- nodes: {}\n\n",
            env!("CARGO_PKG_VERSION"),
            date(self.epoch),
            image.arch,
            image.suite.as_str(),
            nodes.join(", "),
        );
        text.push_str("## Files\n\n| file | what it is | size |\n|---|---|---|\n");
        for image in self.images {
            let nodes = image.nodes.join(", ");
            let what = match image.secret {
                true => format!("image of {nodes}, **with its private keys**"),
                false => format!("image for {nodes}, without anybody's keys"),
            };
            self.row(&mut text, &image.file, &what);
        }
        for layer in self.layers {
            self.row(&mut text, layer, "layer, as it is in the images");
        }
        text.push_str(
            "\n`manifest.json` says what every image is made of, `sbom-*.cdx.json` what it \
             contains (CycloneDX), `provenance.intoto.jsonl` what it was made from (SLSA). Beside \
             each image is its block map.\n",
        );
        if self.images.iter().any(|image| image.secret) {
            text.push_str(
                "\n**Files with SECRET in their names hold private keys. Do not publish them.**\n",
            );
        }
        text.push_str("\n## Check\n\n");
        text.push_str(&self.check());
        text.push_str("\n## Use\n\n");
        text.push_str(&self.usage());
        text
    }

    fn row(&self, text: &mut String, file: &FileRecord, what: &str) {
        let size = ByteSize::bytes(file.size);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{}` | {what} | {size} |", file.path);
    }

    fn check(&self) -> String {
        match self.key {
            Some(key) => {
                let line = key.public().to_line();
                format!(
                    "Signed with minisign, key {}. Take the key from where you trust it, not from \
                     here.\n\n```sh\nminisign -V -P {line} -m {SUMS}\nsha256sum -c {SUMS}\n```\n\n\
                     Or all of it, down to the files inside the images:\n\n```sh\nimgbuild verify \
                     . --key {line}\n```\n",
                    key.id()
                )
            }
            None => format!(
                "**This release is not signed**: its sums tell damage, not forgery.\n\n```sh\n\
                 sha256sum -c {SUMS}\nimgbuild verify .\n```\n"
            ),
        }
    }

    fn usage(&self) -> String {
        let blank = self.images.iter().find(|image| !image.secret);
        let unpack = blank.map_or_else(String::new, |image| match image.packing {
            Packing::Raw => format!("cat {}", image.file.path),
            Packing::Zstd => format!("zstd -dc {}", image.file.path),
            Packing::Xz => format!("xz -dc {}", image.file.path),
        });
        format!(
            "An image without keys starts no node by itself: the node's own layer, `20-NODE-….\
             squashfs`, belongs into `layers/` on its first partition. Who has the cluster's \
             secret makes it: `imgbuild node-layer NAME NODE`.\n\n```sh\n{unpack} | sudo dd of=/dev/sdX bs=4M conv=fsync\n```\n\n\
             A copy of `recipe/{}.toml` and its lock, given to imgbuild, builds a cluster of the \
             same kind with keys of your own.\n",
            self.name
        )
    }
}
