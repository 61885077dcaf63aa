//! What a node's operating system has beyond the base: packages, files, units, what the kernel
//! is told.

use crate::values::{
    AccountName, DropInName, FileMode, KernelArg, ModuleName, PackageName, SourcePath, SysctlName,
    SysctlValue, UnitName,
};
use imgbuild_base::{Digest, TreePath};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// What a node's operating system has beyond the base: the cluster's and its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct System {
    /// Further Debian packages, sorted, without repetition.
    pub packages: Vec<PackageName>,
    /// What the kernel is told.
    pub kernel: Kernel,
    /// Files, at most one for each path.
    pub files: Vec<File>,
    /// Units and what changes them; at most one of each name, or name and drop-in.
    pub units: Vec<Unit>,
}

impl System {
    /// Files beside the recipe that files and units take their content from.
    pub fn sources(&self) -> impl Iterator<Item = &SourcePath> {
        let files = self.files.iter().map(|file| &file.content);
        let units = self.units.iter().filter_map(|unit| unit.action.content());
        files.chain(units).filter_map(Content::source)
    }
}

/// What a node's kernel is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// Further words of its command line, in order.
    pub args: Vec<KernelArg>,
    /// Modules that are loaded at boot, in order.
    pub modules: Vec<ModuleName>,
    /// Modules that are never loaded.
    pub blacklist: Vec<ModuleName>,
    /// Settings below /proc/sys.
    pub sysctl: BTreeMap<SysctlName, SysctlValue>,
}

/// A file of the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is on the node.
    pub path: TreePath,
    /// What is in it.
    pub content: Content,
    /// Its permissions.
    pub mode: FileMode,
    /// Whose it is.
    pub user: AccountName,
    /// Which group's.
    pub group: AccountName,
    /// Whether it takes the place of a file of a package.
    pub replace: bool,
}

impl Serialize for File {
    /// Inline text is shown as its digest; that of a file which not everybody on the node may
    /// read is not shown at all, because a digest confirms a guess.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("File", 6)?;
        fields.serialize_field("path", &self.path.absolute())?;
        match &self.content {
            Content::Text(_) if !self.mode.is_public() => {
                fields.serialize_field("content", "hidden")?;
            }
            content => fields.serialize_field("content", content)?,
        }
        fields.serialize_field("mode", &self.mode)?;
        fields.serialize_field("user", &self.user)?;
        fields.serialize_field("group", &self.group)?;
        fields.serialize_field("replace", &self.replace)?;
        fields.end()
    }
}

/// Where a file's content is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The recipe itself.
    Text(String),
    /// A file beside the recipe, read when building.
    Source(SourcePath),
}

impl Content {
    /// The file beside the recipe.
    #[must_use]
    pub fn source(&self) -> Option<&SourcePath> {
        match self {
            Self::Source(path) => Some(path),
            Self::Text(_) => None,
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => {
                to.collect_str(&format_args!("sha256 {}", Digest::of(text.as_bytes())))
            }
            Self::Source(path) => to.collect_str(&format_args!("file {path}")),
        }
    }
}

/// Something done to a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Which.
    pub name: UnitName,
    /// What is done.
    pub action: UnitAction,
}

/// What is done to a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum UnitAction {
    /// It is written.
    Write {
        /// Its text.
        content: Content,
        /// Whether it takes the place of a unit of a package.
        replace: bool,
        /// What starts it.
        start: Start,
    },
    /// A drop-in is added to it.
    DropIn {
        /// The drop-in's name.
        name: DropInName,
        /// Its text.
        content: Content,
    },
    /// It is there, of a package, and is started.
    Enable {
        /// What starts it.
        start: Start,
    },
    /// It is hidden, whoever asks for it.
    Mask,
}

impl UnitAction {
    /// The text that it brings.
    #[must_use]
    pub fn content(&self) -> Option<&Content> {
        match self {
            Self::Write { content, .. } | Self::DropIn { content, .. } => Some(content),
            Self::Enable { .. } | Self::Mask => None,
        }
    }
}

/// What starts a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by", content = "units")]
pub enum Start {
    /// Nothing but what asks for it.
    Never,
    /// What its own `[Install]` section names.
    Install,
    /// These want it.
    WantedBy(Vec<UnitName>),
}
