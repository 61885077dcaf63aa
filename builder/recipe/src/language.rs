//! The recipe's language as data: every section and key with its shape, default and meaning.
//!
//! This is the one definition. The reader takes shapes and defaults from here, the JSON
//! Schema and the reference are written from here, and a key that is not here is a mistake.
//! A new key is a line here and a line where [`crate::load`] reads it.

mod forms;
mod sections;

pub use sections::{
    ACCESS, CLUSTER, ETCD, EXTRA, FILE, FIREWALL, IMAGE, KERNEL, NETWORK, NODE, NODE_ACCESS,
    NODE_ETCD, NODE_EXTRA, NODE_FILE, NODE_FIREWALL, NODE_IMAGE, NODE_KERNEL, NODE_NETWORK,
    NODE_PKI, NODE_UNIT, NODE_WIFI, PKI, RECIPE, UNIT, WIFI,
};

/// A section: a table of the file.
#[derive(Debug)]
pub struct Section {
    /// As written in its header, without brackets; empty for the whole file.
    pub name: &'static str,
    /// What it is about, as a sentence.
    pub doc: &'static str,
    /// What may stand in it.
    pub keys: &'static [Key],
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// What holds when it is left out.
    pub absent: Absent,
    /// Its meaning, as a sentence.
    pub doc: &'static str,
    /// Other words people write for it, for suggestions.
    pub aka: &'static [&'static str],
    /// Why no node can have its own; `None` where nodes can.
    pub alone: Option<&'static str>,
}

/// What holds when a key is left out.
#[derive(Debug)]
pub enum Absent {
    /// It may not be.
    Mistake,
    /// This value, as TOML.
    Default(&'static str),
    /// Something that depends on other keys, in words.
    Depends(&'static str),
}

/// What a value looks like.
#[derive(Debug)]
pub enum Shape {
    /// A string of a certain form.
    Text(&'static Text),
    /// A whole number.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// true or false.
    Flag,
    /// One of some words.
    Choice(&'static [Choice]),
    /// An array of such values.
    List(&'static Shape),
    /// A section.
    Table(&'static Section),
    /// Sections of one kind (`[[name]]`): at least one, or any number where they may be left
    /// out.
    Tables(&'static Section),
    /// A section whose keys are names of the user's own.
    Map(&'static Map),
    /// A section whose keys are etcd's own options ([`crate::etcd_options`]).
    EtcdOptions(&'static Section),
    /// A section whose keys are the user's; a dotted key may stand without quotes.
    Pairs(&'static Pairs),
}

/// A section whose keys are names of the user's own.
#[derive(Debug)]
pub struct Map {
    /// As written in its header, without brackets.
    pub name: &'static str,
    /// What it is about, as a sentence.
    pub doc: &'static str,
    /// The form of its keys.
    pub names: &'static Text,
    /// The form of every value.
    pub values: &'static Text,
}

/// A section whose keys are the user's: names and what they are set to.
#[derive(Debug)]
pub struct Pairs {
    /// What a name is, in the reference and in errors.
    pub what: &'static str,
    /// A regular expression (ECMA 262) for names, and for the first parts of dotted ones.
    pub pattern: &'static str,
    /// A line that is right.
    pub example: &'static str,
}

/// A form of string.
#[derive(Debug)]
pub struct Text {
    /// Its name in the reference and in errors.
    pub what: &'static str,
    /// A regular expression (ECMA 262) for editors. It may allow more than the reader does.
    pub pattern: &'static str,
    /// One that is right.
    pub example: &'static str,
    /// What a wrong one was probably meant to be.
    pub mend: fn(&str) -> Option<String>,
}

/// A word of a choice.
#[derive(Debug)]
pub struct Choice {
    /// As written.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
}

impl Section {
    /// The key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The sections right below this one.
    pub fn sections(&self) -> impl Iterator<Item = &'static Section> + use<> {
        self.keys.iter().filter_map(|key| match key.shape {
            Shape::Table(section) | Shape::Tables(section) => Some(section),
            _ => None,
        })
    }

    /// The section of the cluster's whose keys this section of a node's says anew.
    #[must_use]
    pub fn cluster_s(&self) -> Option<&'static Section> {
        let name = self.name.strip_prefix("node.")?;
        let mut at: &'static Section = &RECIPE;
        while at.name != name {
            at = at
                .sections()
                .find(|inner| format!("{name}.").starts_with(&format!("{}.", inner.name)))?;
        }
        Some(at)
    }
}

const fn key(name: &'static str, shape: Shape, absent: Absent, doc: &'static str) -> Key {
    Key {
        name,
        shape,
        absent,
        doc,
        aka: &[],
        alone: None,
    }
}

impl Key {
    /// A key of the cluster's that nodes cannot have, and why.
    const fn alone(self, why: &'static str) -> Self {
        Self {
            alone: Some(why),
            ..self
        }
    }

    /// The same key in a node's section: left out, it is as in the cluster's.
    const fn of_node(self, absent: &'static str) -> Self {
        Self {
            absent: Absent::Depends(absent),
            ..self
        }
    }

    const fn aka(self, words: &'static [&'static str]) -> Self {
        Self { aka: words, ..self }
    }
}

const fn choice(name: &'static str, doc: &'static str) -> Choice {
    Choice { name, doc }
}
