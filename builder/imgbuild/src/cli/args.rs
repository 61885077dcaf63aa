//! The command line as types: help, completions and manual pages all come from here.

pub(crate) mod complete;
mod init;
mod release;

pub(crate) use init::InitArgs;
pub(crate) use release::{ReleaseArgs, VerifyArgs};

use crate::export::os_list::BaseUrl;
use crate::terminal::Color;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use imgbuild_recipe::resolved::Format;
use std::path::PathBuf;

/// Builds flashable images that form a TLS-secured etcd cluster on first boot.
///
/// One recipe and its lock decide every byte of every image. `imgbuild --recipe NAME` builds
/// all images of a recipe; NAME is a recipe's file, a name under recipes/, or one of the
/// recipes built into the program (`imgbuild recipes` lists them).
#[derive(Parser, Debug)]
#[command(name = "imgbuild", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// The recipe to build.
    #[arg(long, short, value_name = "NAME", add = complete::recipes())]
    pub(crate) recipe: Option<String>,

    #[command(flatten)]
    pub(crate) build: BuildArgs,

    #[command(flatten)]
    pub(crate) global: GlobalArgs,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of every command.
#[derive(Args, Debug, Clone)]
pub(crate) struct GlobalArgs {
    /// The store of what was built [default: $XDG_CACHE_HOME/imgbuild or ~/.cache/imgbuild].
    #[arg(long, global = true, value_name = "DIR", env = "IMGBUILD_STORE")]
    pub(crate) store: Option<PathBuf>,

    /// A Debian mirror to try first (a URL or a directory); may be given several times.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) mirror: Vec<String>,

    /// Where etcd release archives are looked for first, laid out as upstream's download site.
    #[arg(long, global = true, value_name = "URL", env = "IMGBUILD_ETCD_MIRROR")]
    pub(crate) etcd_mirror: Option<String>,

    /// OpenPGP keys (ASCII-armoured) that may sign the archive, in place of Debian's own.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) keyring: Option<PathBuf>,

    /// How many things are done at once [default: one per processor].
    #[arg(long, short, global = true, value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,

    /// Use nothing from the network: whatever is not in the store is an error.
    #[arg(long, global = true)]
    pub(crate) offline: bool,

    /// Print results, warnings and errors only.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Print one JSON object a line: results on standard output, events on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
}

/// The words that `--format` takes.
fn formats() -> impl TypedValueParser<Value = Format> {
    let words = Format::ALL.map(|one| PossibleValue::new(one.as_str()).help(one.about()));
    PossibleValuesParser::new(words).try_map(|word| word.parse::<Format>())
}

/// Options of a build.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct BuildArgs {
    /// Where the images go [default: images/NAME].
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Build only this node's image; may be given several times.
    #[arg(long, value_name = "NODE", add = complete::nodes())]
    pub(crate) node: Vec<String>,

    /// The cluster's secret [default: NAME.secret beside the recipe; made when missing].
    #[arg(long, value_name = "FILE")]
    pub(crate) secret: Option<PathBuf>,

    /// What to write, in place of the recipe's image.formats; may be given several times or as a
    /// list with commas.
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = formats())]
    pub(crate) format: Vec<Format>,

    /// Where others will find the images, for --format os-list: an http, https or file address.
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<BaseUrl>,

    /// Build everything a second time from the inputs and compare to the bit.
    #[arg(long)]
    pub(crate) check: bool,

    #[command(flatten)]
    pub(crate) authority: AuthorityArgs,
}

/// A CA of the user's own.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct AuthorityArgs {
    /// Sign with your own CA: its certificate (PEM), after which those above it may follow
    /// [default: as in the recipe].
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,

    /// The private key of your own CA (PEM, without a passphrase); it is read and never copied.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_key: Option<PathBuf>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Build all images of a recipe.
    Build {
        /// The recipe.
        #[arg(add = complete::recipes())]
        name: String,
        #[command(flatten)]
        build: BuildArgs,
    },
    /// Pin every input of a recipe: packages, etcd, toolchain, firmware, the time.
    ///
    /// An existing lock is kept where it still holds: packages that are still to be had stay
    /// at their version unless --update or --all asks for newer ones.
    Lock {
        /// The recipe.
        #[arg(add = complete::recipes())]
        name: String,
        /// Take the newest version of these packages (or of `etcd`).
        #[arg(long, value_name = "PKG", num_args = 1.., conflicts_with = "all")]
        update: Vec<String>,
        /// Take the newest version of everything.
        #[arg(long)]
        all: bool,
        /// Set the lock's time to now even when nothing else changed: the next build makes
        /// certificates that are valid from now on.
        #[arg(long)]
        renew: bool,
        /// Leave out a suite whose index the mirrors do not have as its release promises, as
        /// trixie-updates; what it would have made newer stays old.
        #[arg(long, value_name = "SUITE")]
        skip_suite: Vec<String>,
        /// Show what would change and write nothing.
        #[arg(long)]
        diff: bool,
    },
    /// Write a new recipe, from flags or by asking.
    ///
    /// On a terminal what the flags leave open is asked. The recipe has comments on what else can
    /// be said and what holds if it is not.
    Init(InitArgs),
    /// List the recipes that --recipe can name.
    Recipes,
    /// Show a recipe with all its defaults, and what building it would do.
    Show {
        /// The recipe.
        #[arg(add = complete::recipes())]
        name: String,
        #[command(flatten)]
        build: BuildArgs,
    },
    /// Explain one step of a build: what decides it, whether it is cached, what changed.
    Why {
        /// The recipe.
        #[arg(add = complete::recipes())]
        name: String,
        /// The step, as `imgbuild graph` names it, for example base-layer:amd64.
        step: String,
        #[command(flatten)]
        build: BuildArgs,
    },
    /// Print the steps of a build and what they depend on, in Graphviz's language.
    Graph {
        /// The recipe.
        #[arg(add = complete::recipes())]
        name: String,
        #[command(flatten)]
        build: BuildArgs,
    },
    /// Look after the store.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Boot the built images together in QEMU and watch them become a cluster.
    ///
    /// While it runs, lines on standard input act on nodes: `cut NODE`, `connect NODE`,
    /// `kill NODE`, `start NODE`, `restart NODE`, `status`, `quit`.
    Run(RunArgs),
    /// Show when a cluster's certificates end, or issue further client certificates.
    ///
    /// All follow from recipe, lock and secret: nothing is looked up and nothing is kept.
    Pki(PkiArgs),
    /// Write the one file that makes an image without secrets a node's.
    ///
    /// Copy it into the directory `layers` of the boot partition. It holds the node's keys.
    NodeLayer(NodeLayerArgs),
    /// Write a node's disk to a card, stick or disk, and read it back.
    ///
    /// Without a device the candidates are listed. The disk is put together in memory: no image
    /// needs to be there. The first MiB is written last, so that an interrupted card does not
    /// boot; everything is read back past the page cache; a card with less room than it says is
    /// found out.
    #[command(
        override_usage = "imgbuild flash [OPTIONS] NAME NODE [DEVICE]\n       \
                                imgbuild flash [OPTIONS] NAME --all [DEVICE]\n       \
                                imgbuild flash [OPTIONS] --image FILE [DEVICE]"
    )]
    Flash(FlashArgs),
    /// Say what an image or a card is: board, versions, node, certificates, layers.
    ///
    /// Needs neither recipe nor secret. Every layer is hashed; one that is not what its name
    /// promises ends the command with exit code 6.
    Inspect {
        /// A raw image, one in a .zst or .xz, or the whole device of a card.
        #[arg(value_name = "FILE|DEVICE")]
        path: PathBuf,
    },
    /// Write a directory that can be published, and that anybody can check.
    ///
    /// It has images without secrets, what they are made of, sums and their signature. The same recipe and lock give the same files every time. Nothing of the cluster's secret
    /// is read or written unless --with-secrets asks for it.
    Release(ReleaseArgs),
    /// Check a release, down to the files inside its images.
    ///
    /// It takes nothing but the public key. All that is missing, extra, changed or renamed is
    /// named; the exit code is then 6.
    Verify(VerifyArgs),
    /// Build etcd exactly as upstream does, and compare with the programs of upstream's release.
    ///
    /// For recipes with etcd.source = "build" on amd64 and arm64. How upstream built (the version
    /// of Go, the commit, the flags) is read out of its programs; etcd's modules are put together
    /// as in upstream's repository. What differs is named; the exit code is then 8.
    Reproduce {
        /// The recipe.
        #[arg(add = complete::recipes())]
        name: String,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory.
    Man {
        /// The directory.
        dir: PathBuf,
    },
    /// Print the reference of the recipe language, or of what --json prints.
    ///
    /// It is Markdown, or with --schema a JSON Schema.
    Reference {
        /// Of what --json prints.
        #[arg(long)]
        output: bool,
        /// Print the JSON Schema instead.
        #[arg(long)]
        schema: bool,
    },
}

/// What there is a reference of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The recipe language.
    Recipe,
    /// What `--json` prints.
    Output,
}

/// What can be done with the store.
#[derive(Subcommand, Debug)]
pub(crate) enum StoreCommand {
    /// Hash every object again; what is damaged is removed, to be built again.
    Verify,
    /// Remove what no recent build used. What the last build of each recipe used stays.
    Gc {
        /// Remove what was not used for this many days.
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        older_than: u32,
        /// Remove what was used longest ago too, until no more than this remains, such as 10G.
        #[arg(long, value_name = "SIZE")]
        max_size: Option<imgbuild_base::ByteSize>,
        /// Let go of what the last build of this recipe used; may be given several times.
        #[arg(long, value_name = "NAME", add = complete::recipes())]
        forget: Vec<String>,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Show how much room the store takes.
    Du,
}

/// Options of `run`.
#[derive(Args, Debug, Clone)]
pub(crate) struct RunArgs {
    /// The recipe; its images are built first if they are not there.
    #[arg(add = complete::recipes())]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) build: BuildArgs,

    /// End as soon as this holds; the exit code tells whether it did.
    #[arg(long, value_enum, value_name = "STATE")]
    pub(crate) until: Option<Until>,

    /// How long --until may take, in seconds.
    #[arg(long, default_value_t = 1800, value_name = "SECONDS")]
    pub(crate) timeout: u64,

    /// Memory of each node, in MiB [default: 256, on 64-bit Pis 512].
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u32>,

    /// The machine QEMU emulates for Raspberry Pi images.
    #[arg(long, value_enum, default_value_t = Machine::Fast, value_name = "KIND")]
    pub(crate) machine: Machine,

    /// The firmware that starts images for a PC; `bios` needs image.firmware = "hybrid".
    #[arg(long, value_enum, default_value_t = Start::Uefi, value_name = "KIND")]
    pub(crate) firmware: Start,

    /// Leave this node switched off until `start NODE`; may be given several times.
    #[arg(long, value_name = "NODE", add = complete::nodes())]
    pub(crate) hold: Vec<String>,

    /// What the nodes' clocks say when they are switched on, as 1970-01-01T00:00:00.
    #[arg(long, value_name = "TIME")]
    pub(crate) clock: Option<String>,

    /// Size of each node's disk, such as 4G; the image's content stays as it is.
    #[arg(long, value_name = "SIZE")]
    pub(crate) disk_size: Option<imgbuild_base::ByteSize>,

    /// Keep the nodes' disks, consoles and sockets here [default: a temporary directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
}

/// Where the keys of an existing cluster come from.
#[derive(Args, Debug, Clone)]
pub(crate) struct KeyArgs {
    /// The cluster's secret [default: NAME.secret beside the recipe].
    #[arg(long, value_name = "FILE")]
    pub(crate) secret: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) authority: AuthorityArgs,
}

impl KeyArgs {
    /// The build of these nodes' disks; of all when none is named.
    pub(crate) fn build(&self, node: Vec<String>) -> BuildArgs {
        BuildArgs {
            node,
            secret: self.secret.clone(),
            authority: self.authority.clone(),
            format: vec![Format::Img],
            ..BuildArgs::default()
        }
    }
}

/// Options of `node-layer`.
#[derive(Args, Debug, Clone)]
pub(crate) struct NodeLayerArgs {
    /// The recipe.
    #[arg(add = complete::recipes())]
    pub(crate) name: String,

    /// The node.
    #[arg(add = complete::nodes())]
    pub(crate) node: String,

    /// The directory for the file [default: images/NAME/layers].
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// Options of `flash`.
#[derive(Args, Debug, Clone)]
pub(crate) struct FlashArgs {
    /// The recipe, the node and the device or existing file; without a device the candidates
    /// are listed.
    #[arg(value_name = "NAME NODE DEVICE", num_args = 0..=3, add = complete::recipe_node_device())]
    pub(crate) what: Vec<String>,

    /// Write all nodes of the recipe, asking for one card after another.
    #[arg(long, conflicts_with = "image")]
    pub(crate) all: bool,

    /// Write this image instead: raw, or in a .zst or .xz.
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Option<PathBuf>,

    /// Do not ask whether what is on the device may go.
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// Write to a disk that is not removable, too.
    #[arg(long)]
    pub(crate) allow_fixed: bool,

    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// Options of `pki`.
#[derive(Args, Debug, Clone)]
pub(crate) struct PkiArgs {
    /// The recipe.
    #[arg(add = complete::recipes())]
    pub(crate) name: String,

    /// The cluster's secret [default: NAME.secret beside the recipe].
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) secret: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) authority: AuthorityArgs,

    #[command(subcommand)]
    pub(crate) command: Option<PkiCommand>,
}

/// What can be done with certificates.
#[derive(Subcommand, Debug, Clone)]
pub(crate) enum PkiCommand {
    /// Issue a client certificate. The same common name always gets the same key.
    Client {
        /// The certificate's common name: the user, once etcd's authentication is on.
        common_name: String,
        /// The certificate's organisation.
        #[arg(long, value_name = "NAME")]
        organisation: Option<String>,
        /// Days it is valid from the lock's time on [default: as the recipe's certificates].
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=18_250))]
        days: Option<u32>,
        /// The directory for the certificate and its key [default: images/NAME/clients].
        #[arg(long, short, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// States `run` can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Until {
    /// Every member answers as healthy over mutual TLS.
    Healthy,
}

/// The firmware with which `run` starts a PC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Start {
    /// UEFI.
    Uefi,
    /// A BIOS.
    Bios,
}

/// What `run` emulates for a Pi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Machine {
    /// QEMU's generic ARM board: fast.
    Fast,
    /// QEMU's model of the Pi: the SD card, the board's own devices; slow.
    Board,
}
