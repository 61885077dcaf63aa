//! What `--json` prints: every line of it is a [`Message`] in one versioned envelope.
//!
//! A command fills in the types of this module and hands them to
//! [`Terminal::message`](crate::terminal::Terminal::message). `docs/output.schema.json` and
//! `docs/output.md` are written from the same types ([`schema`], [`reference`]), so nothing is
//! printed that they do not describe. Nothing here knows the rest of the program.
//!
//! A command that is new adds a variant to [`Message`] with a struct of its own, in a file beside
//! these, and prints `docs/output.*` anew (`imgbuild reference --output`). Within a version, fields
//! and messages may be added; whatever else changes makes a new [`VERSION`].

pub(crate) mod build;
pub(crate) mod card;
pub(crate) mod explain;
pub(crate) mod lock;
pub(crate) mod pki;
pub(crate) mod program;
pub(crate) mod release;
pub(crate) mod run;
mod schema;
pub(crate) mod store;
pub(crate) mod work;

pub(crate) use schema::{reference, schema};

use schemars::JsonSchema;
use serde::Serialize;

/// The version of the envelope and of all messages.
pub(crate) const VERSION: u32 = 1;

/// A line of `--json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    imgbuild: u32,
    #[serde(flatten)]
    message: &'a Message,
}

/// One line. Its doc comment is its description in the schema.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub(crate) enum Message {
    /// `imgbuild build` and `imgbuild --recipe`: what was built.
    Build(build::Build),
    /// `imgbuild lock`: what the lock pins now, or would.
    Lock(lock::Lock),
    /// `imgbuild init`: a recipe was written.
    Init(program::Init),
    /// `imgbuild recipes`: what `--recipe` can name.
    Recipes(Vec<program::Recipe>),
    /// `imgbuild show`: a recipe with every default, and what building it would do.
    Show(Box<explain::Show>),
    /// `imgbuild why`: what decides a step.
    Why(explain::Why),
    /// `imgbuild graph`: every step by its name.
    Graph(explain::Steps),
    /// `imgbuild run`: a node, whenever something about it changes.
    Node(run::Node),
    /// `imgbuild run`: every member answers as healthy.
    Healthy(run::Healthy),
    /// `imgbuild pki`: all certificates of a cluster.
    Pki(Vec<pki::Certificate>),
    /// `imgbuild pki NAME client`: a client certificate was issued.
    PkiClient(pki::Client),
    /// `imgbuild flash` without a device: the disks of this machine.
    Devices(Vec<card::Candidate>),
    /// `imgbuild flash`: a card was written and read back.
    Flash(card::Flash),
    /// `imgbuild node-layer`: a node's own layer was written.
    NodeLayer(card::NodeLayer),
    /// `imgbuild inspect`: what an image or a card is.
    Inspect(card::Inspection),
    /// `imgbuild release`: a release was made.
    Release(release::Release),
    /// `imgbuild verify`: a release is what it says.
    Verify(release::Verify),
    /// `imgbuild reproduce`: upstream's etcd against one built as upstream builds it. When a program
    /// differs an `error` follows.
    Reproduce(release::Reproduce),
    /// `imgbuild store du`: how much room each kind of thing takes.
    StoreDu(Vec<store::Usage>),
    /// `imgbuild store gc`: what was removed.
    StoreGc(store::Gc),
    /// `imgbuild store verify`: what was found. When something was damaged an `error` follows.
    StoreVerify(store::Verify),
    /// `imgbuild completions`: the script.
    Completions(program::Completions),
    /// `imgbuild man`: the pages that were written.
    Man(program::Man),
    /// `imgbuild reference`: a generated text or schema.
    Reference(program::Reference),
    /// Any command, as the last line of standard output: why it failed.
    Error(work::Error),
    /// Any command, on standard error: how the work goes.
    Event(work::Event),
}

impl Message {
    /// The line, without its end.
    pub(crate) fn line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Line {
            imgbuild: VERSION,
            message: self,
        })
    }
}
