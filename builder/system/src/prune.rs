//! What of a package never reaches an image: `overlays/base/prune.txt`.

use crate::{OverlayError, Overlays};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use imgbuild_base::{Digest, Hasher, TreePath};

const FILE: &str = "base/prune.txt";

/// Tells which files of packages are kept. The list's last line that matches a path decides;
/// a path that none matches is kept.
#[derive(Clone, Debug)]
pub struct Keep {
    patterns: GlobSet,
    keeps: Vec<bool>,
    digest: Digest,
}

impl Keep {
    /// Reads the list.
    ///
    /// # Errors
    /// [`OverlayError`] when it is missing, or a line is neither `keep PATTERN` nor
    /// `drop PATTERN`.
    pub fn new(overlays: &Overlays) -> Result<Self, OverlayError> {
        Self::of(overlays, None)
    }

    /// The same, but every kernel module is kept: for a recipe that names modules, which may
    /// be of the kinds that no image has otherwise. Those that nobody asks for are dropped
    /// when the image is composed.
    ///
    /// # Errors
    /// As [`Keep::new`].
    pub fn with_all_modules(overlays: &Overlays) -> Result<Self, OverlayError> {
        Self::of(overlays, Some("keep usr/lib/modules/**"))
    }

    fn of(overlays: &Overlays, last: Option<&'static str>) -> Result<Self, OverlayError> {
        let mut patterns = GlobSetBuilder::new();
        let mut keeps = Vec::new();
        let mut hasher = Hasher::new();
        for (line, text) in overlays
            .list(FILE)?
            .into_iter()
            .chain(last.map(|text| (0, text)))
        {
            let wrong = |problem: String| OverlayError::Line {
                file: FILE.to_owned(),
                line,
                problem,
            };
            hasher.field(text);
            let (keep, pattern) = match text.split_once(' ') {
                Some(("keep", pattern)) => (true, pattern),
                Some(("drop", pattern)) => (false, pattern),
                _ => return Err(wrong(format!("{text:?} is neither `keep …` nor `drop …`"))),
            };
            let glob = GlobBuilder::new(pattern.trim())
                .literal_separator(true)
                .empty_alternates(true)
                .build()
                .map_err(|error| wrong(error.to_string()))?;
            patterns.add(glob);
            keeps.push(keep);
        }
        let patterns = patterns.build().map_err(|error| OverlayError::Line {
            file: FILE.to_owned(),
            line: 0,
            problem: error.to_string(),
        })?;
        Ok(Self {
            patterns,
            keeps,
            digest: hasher.finish(),
        })
    }

    /// Whether the file, at its merged-`/usr` path, is kept.
    #[must_use]
    pub fn path(&self, path: &TreePath) -> bool {
        let last = self.patterns.matches(path.as_str()).into_iter().max();
        last.is_none_or(|index| self.keeps[index])
    }

    /// Digest of the list, for the keys of steps that use it.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_match_decides() {
        let keep = Keep::new(&Overlays::builtin()).unwrap();
        let kept = |path: &str| keep.path(&TreePath::new(path).unwrap());
        for path in [
            "usr/bin/mount",
            "usr/share/doc/mount/copyright",
            "usr/share/common-licenses/GPL-2",
            "usr/lib/modules/6.12/kernel/fs/fat/vfat.ko.xz",
            "usr/lib/modules/6.12/kernel/drivers/net/wireless/broadcom/brcm80211/brcmfmac/x.ko.xz",
            "usr/lib/linux-image-6.12/broadcom/bcm2711-rpi-4-b.dtb",
            "usr/lib/linux-image-6.12/bcm2836-rpi-2-b.dtb",
            "usr/lib/raspi-firmware/start.elf",
            "usr/lib/systemd/system-generators/systemd-fstab-generator",
            "boot/vmlinuz-6.12",
        ] {
            assert!(kept(path), "{path}");
        }
        for path in [
            "usr/share/doc/mount/changelog.gz",
            "usr/share/man/man8/mount.8.gz",
            "usr/lib/x86_64-linux-gnu/gconv/IBM037.so",
            "usr/lib/modules/6.12/kernel/drivers/gpu/drm/drm.ko.xz",
            "usr/lib/linux-image-6.12/broadcom/bcm2712-rpi-5-b.dtb",
            "usr/lib/linux-image-6.12/allwinner/sun50i.dtb",
            "usr/lib/raspi-firmware/start_x.elf",
            "usr/lib/systemd/system-generators/systemd-getty-generator",
            "boot/System.map-6.12",
        ] {
            assert!(!kept(path), "{path}");
        }
    }

    #[test]
    fn for_a_recipe_with_modules_all_of_them_are_kept() {
        let overlays = Overlays::builtin();
        let plain = Keep::new(&overlays).unwrap();
        let all = Keep::with_all_modules(&overlays).unwrap();
        let module =
            TreePath::new("usr/lib/modules/6.12/kernel/drivers/md/dm-crypt.ko.xz").unwrap();
        let manual = TreePath::new("usr/share/man/man8/mount.8.gz").unwrap();
        assert!(!plain.path(&module) && all.path(&module) && !all.path(&manual));
        assert_ne!(plain.digest(), all.digest());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let mut overlays = Overlays::builtin();
        let mut own = imgbuild_base::Tree::new();
        own.put_file(
            TreePath::new(FILE).unwrap(),
            imgbuild_base::Meta::root(0o644, imgbuild_base::Epoch::ZERO),
            "# one\nremove usr\n",
        );
        overlays.replace(own);
        let error = Keep::new(&overlays).unwrap_err();
        assert!(
            matches!(error, OverlayError::Line { line: 2, .. }),
            "{error}"
        );
    }
}
