//! Options of `imgbuild init`.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use imgbuild_base::{Arch, ClusterName};
use imgbuild_recipe::draft::{DraftNode, Source};
use imgbuild_recipe::resolved::Board;
use imgbuild_recipe::values::{Country, HostPath, Ssid};
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;

/// Options of `init`.
#[derive(Args, Debug, Clone)]
pub(crate) struct InitArgs {
    /// The cluster's name; also the recipe's.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<ClusterName>,

    /// The kind of machine.
    #[arg(long, value_name = "BOARD", value_parser = one_of(Board::ALL, Board::as_str))]
    pub(crate) board: Option<Board>,

    /// Its architecture [default: amd64 for vm, arm64 for raspberry-pi].
    #[arg(long, value_name = "ARCH", value_parser = one_of(Arch::ALL, Arch::debian))]
    pub(crate) arch: Option<Arch>,

    /// Where etcd comes from [default: release; build on armhf].
    #[arg(long, value_name = "SOURCE", value_parser = one_of(Source::ALL, Source::as_str))]
    pub(crate) source: Option<Source>,

    /// How many nodes; they are named etcd-0 and so on, and get addresses in the subnet.
    #[arg(long, value_name = "N", conflicts_with = "node", value_parser = clap::value_parser!(u16).range(1..=99))]
    pub(crate) nodes: Option<u16>,

    /// A node; given for each of them, in place of --nodes.
    #[arg(long, value_name = "NAME=ADDRESS")]
    pub(crate) node: Vec<DraftNode>,

    /// The network that the nodes are in, such as 192.168.1.0/24.
    #[arg(long, value_name = "SUBNET")]
    pub(crate) subnet: Option<IpNet>,

    /// Its router.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway: Option<IpAddr>,

    /// A name server; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<IpAddr>,

    /// A file with ssh public keys that may log in as root, such as ~/.ssh/id_ed25519.pub; may be
    /// given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_key: Vec<PathBuf>,

    /// The wireless network's name (Raspberry Pi only).
    #[arg(long, value_name = "SSID", requires = "wifi_country")]
    pub(crate) wifi: Option<Ssid>,

    /// The country, by its two letters, which decides what the radio may do.
    #[arg(long, value_name = "CC", requires = "wifi")]
    pub(crate) wifi_country: Option<Country>,

    /// The file that will hold the wireless network's passphrase, seen from the recipe [default:
    /// NAME.passphrase].
    #[arg(long, value_name = "FILE", requires = "wifi")]
    pub(crate) wifi_passphrase_file: Option<HostPath>,

    /// The recipe's file [default: recipes/NAME.toml].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Ask nothing: take the defaults.
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// Write over a file that is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// A word for each of some values.
fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    all: [T; N],
    word: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let words = all.map(|one| PossibleValue::new(word(one)));
    PossibleValuesParser::new(words).try_map(move |given| {
        let found = all.into_iter().find(|one| word(*one) == given);
        found.ok_or("no such word")
    })
}
