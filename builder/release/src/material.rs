use imgbuild_base::{Arch, Digest};

/// Something that images were made from, as bills of materials and provenance name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Material {
    /// What it is.
    pub kind: MaterialKind,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What everybody calls it: a package URL (ECMA-427).
    pub purl: String,
    /// SHA-256 of its file; of a Go module, the hash of its listing that go.sum has ("h1").
    pub digest: Digest,
}

/// What a material is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaterialKind {
    /// A Debian package.
    Package,
    /// A Debian package with code for other processors than the one that runs Debian.
    Firmware,
    /// A module that etcd was compiled from.
    GoModule,
    /// Upstream's archive with compiled programs.
    Archive,
    /// Go's standard library, which comes with its compiler.
    StandardLibrary,
    /// A compiler, of which nothing else is in the images.
    Toolchain,
}

impl MaterialKind {
    /// Whether images contain it.
    #[must_use]
    pub const fn is_contained(self) -> bool {
        !matches!(self, Self::Toolchain)
    }

    /// Whether it is fetched by itself.
    #[must_use]
    pub const fn is_fetched(self) -> bool {
        !matches!(self, Self::StandardLibrary)
    }
}

impl Material {
    /// A Debian package; `arch` as its file's name has it, `digest` of its .deb.
    #[must_use]
    pub fn package(name: &str, version: &str, arch: &str, suite: &str, digest: Digest) -> Self {
        let firmware = name.starts_with("firmware-") || name.ends_with("-firmware");
        let (plain, code) = (encoded(name), encoded(version));
        let suite = encoded(suite);
        Self {
            kind: match firmware {
                true => MaterialKind::Firmware,
                false => MaterialKind::Package,
            },
            purl: format!("pkg:deb/debian/{plain}@{code}?arch={arch}&distro={suite}"),
            name: name.to_owned(),
            version: version.to_owned(),
            digest,
        }
    }

    /// A Go module with its hash in go.sum.
    #[must_use]
    pub fn go_module(path: &str, version: &str, h1: Digest) -> Self {
        Self {
            kind: MaterialKind::GoModule,
            purl: golang(path, version),
            name: path.to_owned(),
            version: version.to_owned(),
            digest: h1,
        }
    }

    /// The Go toolchain for a host, by the version of the module that holds it; `digest` of the
    /// bundle of its files.
    #[must_use]
    pub fn toolchain(version: &str, digest: Digest) -> Self {
        let module = "golang.org/toolchain";
        Self {
            kind: MaterialKind::Toolchain,
            purl: golang(module, version),
            name: module.to_owned(),
            version: version.to_owned(),
            digest,
        }
    }

    /// The standard library of a version of Go; `digest` of the toolchain that it is a part of.
    #[must_use]
    pub fn standard_library(go: &str, digest: Digest) -> Self {
        Self {
            kind: MaterialKind::StandardLibrary,
            purl: golang("std", go),
            name: "std".to_owned(),
            version: go.to_owned(),
            digest,
        }
    }

    /// Upstream's archive of etcd.
    #[must_use]
    pub fn archive(tag: &str, arch: Arch, digest: Digest) -> Self {
        let code = encoded(tag);
        Self {
            kind: MaterialKind::Archive,
            purl: format!("pkg:github/etcd-io/etcd@{code}?arch={}", arch.goarch()),
            name: "etcd".to_owned(),
            version: tag.to_owned(),
            digest,
        }
    }
}

/// The package URL of a Go module; the type's definition wants small letters.
fn golang(path: &str, version: &str) -> String {
    let parts: Vec<String> = path.split('/').map(encoded).collect();
    let path = parts.join("/").to_ascii_lowercase();
    format!("pkg:golang/{path}@{}", encoded(version))
}

/// A text as part of a package URL: all but letters, digits, `.`, `-`, `_`, `~` and the colon
/// is escaped, byte by byte.
fn encoded(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                escaped.push(char::from(byte));
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls() {
        let digest = Digest::of(b"");
        let package = Material::package("g++", "1:1.37.0-6+b9", "amd64", "trixie", digest);
        assert_eq!(
            package.purl,
            "pkg:deb/debian/g%2B%2B@1:1.37.0-6%2Bb9?arch=amd64&distro=trixie"
        );
        assert_eq!(package.kind, MaterialKind::Package);
        let module = Material::go_module("github.com/BurntSushi/toml", "v1.0.0+x", digest);
        assert_eq!(
            module.purl,
            "pkg:golang/github.com/burntsushi/toml@v1.0.0%2Bx"
        );
        let firmware = Material::package("raspi-firmware", "1", "all", "trixie", digest);
        assert_eq!(firmware.kind, MaterialKind::Firmware);
        assert!(
            !Material::toolchain("v0.0.1-go1.26.1.linux-amd64", digest)
                .kind
                .is_contained()
        );
    }
}
