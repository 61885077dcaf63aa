//! What a Go program says of how it was built: what `go version -m` prints.
//!
//! Since Go 1.18 the linker writes a section `.go.buildinfo` (`debug/buildinfo` in Go's standard
//! library): 14 bytes of magic, the size of a pointer, flags, padding to 32 bytes, then two
//! strings, each after its length as a varint: Go's version, and lines of words between tabs
//! (`runtime/debug`, `BuildInfo.String`) with 16 bytes of marks before and behind. Most flags
//! are in it; with `-trimpath`, `-ldflags` are not.

use object::{Object, ObjectSection};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The section.
const SECTION: &str = ".go.buildinfo";
/// How it begins.
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Where the flags are, and which of them says that the strings follow.
const FLAGS: usize = 15;
const INLINE: u8 = 2;
/// Where the strings begin.
const STRINGS: usize = 32;
/// How long the marks around the lines are.
const MARK: usize = 16;

/// How a program was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildInfo {
    /// Go's version, `go1.26.10`.
    pub go: String,
    /// The main package.
    pub path: String,
    /// The module it is in.
    pub main: Module,
    /// The modules it depends on, by path.
    pub modules: BTreeMap<String, Dependency>,
    /// Flags and variables, `-trimpath` or `GOARCH`, and their values.
    pub settings: BTreeMap<String, String>,
}

/// A module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Its path; a directory, where it replaces another.
    pub path: String,
    /// Its version; `(devel)` where it has none.
    pub version: String,
    /// Its hash as in go.sum; empty for one that was built from a directory.
    pub sum: String,
}

/// A module that a program depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependency {
    /// As it is required.
    pub module: Module,
    /// What was taken in its place.
    pub replaced: Option<Module>,
}

/// Why a file does not say how it was built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildInfoError {
    /// Not a program.
    #[error("it is no ELF file: {0}")]
    Elf(String),
    /// No Go program.
    #[error("it has no section .go.buildinfo: it was not made by Go, or is stripped of it")]
    NoSection,
    /// Cut short, or of a Go before 1.18.
    #[error("its section .go.buildinfo is damaged, or made by a Go before 1.18")]
    Section,
    /// A line that cannot be read.
    #[error("its build information has a line that cannot be read: {0:?}")]
    Line(String),
}

/// Something that two programs were not built alike in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What: "Go", "module …", or a flag or variable by its name.
    pub what: String,
    /// What the first one has; `None`: nothing.
    pub first: Option<String>,
    /// What the second one has.
    pub second: Option<String>,
}

impl BuildInfo {
    /// Reads it out of a program.
    ///
    /// # Errors
    /// [`BuildInfoError`].
    pub fn of(program: &[u8]) -> Result<Self, BuildInfoError> {
        let file =
            object::File::parse(program).map_err(|error| BuildInfoError::Elf(error.to_string()))?;
        let section = file.section_by_name(SECTION);
        let section = section.ok_or(BuildInfoError::NoSection)?;
        Self::of_section(section.data().map_err(|_| BuildInfoError::Section)?)
    }

    /// Reads the section.
    fn of_section(section: &[u8]) -> Result<Self, BuildInfoError> {
        let inline = section.get(FLAGS).is_some_and(|flags| flags & INLINE != 0);
        if !section.starts_with(MAGIC) || !inline {
            return Err(BuildInfoError::Section);
        }
        let mut rest = section.get(STRINGS..).ok_or(BuildInfoError::Section)?;
        let go = string(&mut rest)?;
        let lines = string(&mut rest)?;
        let go = String::from_utf8(go.to_vec()).map_err(|_| BuildInfoError::Section)?;
        let lines = match lines.len() {
            0 => lines,
            len => {
                let end = len.checked_sub(MARK).ok_or(BuildInfoError::Section)?;
                lines.get(MARK..end).ok_or(BuildInfoError::Section)?
            }
        };
        let lines = std::str::from_utf8(lines).map_err(|_| BuildInfoError::Section)?;
        let read = Self {
            go,
            ..Self::default()
        };
        lines
            .lines()
            .try_fold((read, None), line)
            .map(|(read, _)| read)
    }

    /// In what another program was built otherwise, in the order of Go, package, modules,
    /// settings.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let (first, second) = (self.facts(), other.facts());
        let whats: BTreeSet<_> = first.keys().chain(second.keys()).collect();
        whats
            .into_iter()
            .filter(|what| first.get(*what) != second.get(*what))
            .map(|what| Difference {
                what: what.1.clone(),
                first: first.get(what).cloned(),
                second: second.get(what).cloned(),
            })
            .collect()
    }

    /// Everything as names and values; the number orders them.
    fn facts(&self) -> BTreeMap<(u8, String), String> {
        let mut facts = BTreeMap::from([
            ((0, "Go".to_owned()), self.go.clone()),
            ((1, "package".to_owned()), self.path.clone()),
            ((2, "main module".to_owned()), self.main.to_string()),
        ]);
        for (path, one) in &self.modules {
            let mut text = one.module.to_string();
            if let Some(replaced) = &one.replaced {
                text += &format!(" => {replaced}");
            }
            facts.insert((3, format!("module {path}")), text);
        }
        let settings = self.settings.iter();
        facts.extend(settings.map(|(name, value)| ((4, name.clone()), value.clone())));
        facts
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [&self.path, &self.version, &self.sum].map(String::as_str);
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        f.write_str(&words.join(" "))
    }
}

/// The next string of the section.
fn string<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], BuildInfoError> {
    let mut len: usize = 0;
    // More than four bytes would be a string of 256 MiB.
    for at in 0..4 {
        let byte = *rest.get(at).ok_or(BuildInfoError::Section)?;
        len |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            let (text, after) = rest
                .get(at + 1..)
                .and_then(|rest| rest.split_at_checked(len))
                .ok_or(BuildInfoError::Section)?;
            *rest = after;
            return Ok(text);
        }
    }
    Err(BuildInfoError::Section)
}

/// Reads a line on top of those before; with the module that a replacement would be of.
fn line(
    (mut read, last): (BuildInfo, Option<String>),
    line: &str,
) -> Result<(BuildInfo, Option<String>), BuildInfoError> {
    if line.is_empty() {
        return Ok((read, last));
    }
    let bad = || BuildInfoError::Line(line.to_owned());
    let (kind, value) = line.split_once('\t').ok_or_else(bad)?;
    let module = || {
        let mut words = value.split('\t').map(str::to_owned);
        Module {
            path: words.next().unwrap_or_default(),
            version: words.next().unwrap_or_default(),
            sum: words.next().unwrap_or_default(),
        }
    };
    let mut last = last;
    match kind {
        "path" => value.clone_into(&mut read.path),
        "mod" => read.main = module(),
        "dep" => {
            let module = module();
            last = Some(module.path.clone());
            let one = Dependency {
                module,
                replaced: None,
            };
            read.modules.insert(one.module.path.clone(), one);
        }
        "=>" => {
            let of = last.take().and_then(|path| read.modules.get_mut(&path));
            of.ok_or_else(bad)?.replaced = Some(module());
        }
        "build" => {
            let (name, value) = setting(value).ok_or_else(bad)?;
            read.settings.insert(name, value);
        }
        _ => return Err(bad()),
    }
    Ok((read, last))
}

/// `name=value`, either of which may be quoted as Go quotes strings.
fn setting(text: &str) -> Option<(String, String)> {
    let (name, rest) = match text.starts_with(['"', '`']) {
        true => {
            let quote = text.chars().next()?;
            let end = text[1..].find(quote)? + 2;
            (unquoted(&text[..end])?, &text[end..])
        }
        false => {
            let end = text.find('=')?;
            (text[..end].to_owned(), &text[end..])
        }
    };
    Some((name, unquoted(rest.strip_prefix('=')?)?))
}

fn unquoted(text: &str) -> Option<String> {
    match text.chars().next() {
        // What Go escapes in flags and paths, JSON escapes alike.
        Some('"') => serde_json::from_str(text).ok(),
        Some('`') => text.get(1..)?.strip_suffix('`').map(str::to_owned),
        _ => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINES: &str = "path\texample.org/x\n\
        mod\texample.org/x\t(devel)\t\n\
        dep\texample.org/a\tv1.0.0\th1:AAAA=\n\
        dep\texample.org/b\tv1.1.0\t\n\
        =>\t../b\t(devel)\t\n\
        build\t-trimpath=true\n\
        build\t-ldflags=\"-s -w\"\n\n";

    fn section(go: &str, lines: &str) -> Vec<u8> {
        let mut bytes = [MAGIC, &[8, INLINE], &[0; 16]].concat();
        for text in [
            go.as_bytes(),
            format!("{:16}{lines}{:16}", "", "").as_bytes(),
        ] {
            let len = text.len();
            bytes.extend([
                u8::try_from(len % 128).unwrap() | 0x80,
                u8::try_from(len / 128).unwrap(),
            ]);
            bytes.extend(text);
        }
        bytes
    }

    #[test]
    fn what_go_wrote_is_read() {
        let info = BuildInfo::of_section(&section("go1.26.10", LINES)).unwrap();
        assert_eq!((&*info.go, &*info.path), ("go1.26.10", "example.org/x"));
        assert_eq!(info.main.to_string(), "example.org/x (devel)");
        assert_eq!(info.modules["example.org/a"].module.sum, "h1:AAAA=");
        let replaced = info.modules["example.org/b"].replaced.as_ref().unwrap();
        assert_eq!(replaced.to_string(), "../b (devel)");
        assert_eq!(info.settings["-ldflags"], "-s -w");
        assert_eq!(
            setting("\"a b\"=`c`"),
            Some(("a b".to_owned(), "c".to_owned()))
        );
    }

    #[test]
    fn differences_are_named() {
        let read = |go: &str, lines: &str| BuildInfo::of_section(&section(go, lines)).unwrap();
        let one = read("go1.26.10", LINES);
        assert_eq!(one.differences(&one), []);
        let lines = LINES.replace("v1.0.0", "v1.0.1") + "build\t-tags=x\n";
        let found = one.differences(&read("go1.26.9", &lines));
        let whats: Vec<&str> = found.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(whats, ["Go", "module example.org/a", "-tags"]);
        assert_eq!(
            (&found[2].first, found[2].second.as_deref()),
            (&None, Some("x"))
        );
    }

    #[test]
    fn what_is_not_gos_is_refused() {
        let own = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(BuildInfo::of(&own), Err(BuildInfoError::NoSection));
        assert!(matches!(
            BuildInfo::of(b"#!/bin/sh"),
            Err(BuildInfoError::Elf(_))
        ));
        let good = section("go1.26.10", LINES);
        for len in 0..good.len() {
            assert_eq!(
                BuildInfo::of_section(&good[..len]),
                Err(BuildInfoError::Section)
            );
        }
        for bad in ["x", "=>\ta\n", "build\tx\n", "huh\tx\n"] {
            let error = BuildInfo::of_section(&section("go1", bad)).unwrap_err();
            assert!(matches!(error, BuildInfoError::Line(_)), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_section_is_read_or_refused(
            lines in "((path|mod|dep|=>|build)\t[a-z=\"`\t]{0,12}\n){0,5}",
            at in 0_usize..60,
            byte: u8,
        ) {
            let mut bytes = section("go1", &lines);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = BuildInfo::of_section(&bytes);
            let _ = BuildInfo::of(&bytes);
        }
    }
}
