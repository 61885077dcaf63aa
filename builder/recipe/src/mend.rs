//! Guesses at what a wrong value was meant to be, for "did you mean". A guess is only shown;
//! each is checked by the value's own constructor before it is.

use imgbuild_base::{ByteSize, HostName};
use ipnet::IpNet;
use std::net::IpAddr;

use crate::values::{
    Country, DropInName, EnvName, EtcdVersion, FileMode, ListenAddress, MacAddress, ModuleName,
    OpenPort, PackageName, San, SourcePath, UnitName, UrlPattern,
};

/// No guess.
pub(crate) fn nothing(_: &str) -> Option<String> {
    None
}

fn if_right<T: std::str::FromStr>(guess: String) -> Option<String> {
    guess.parse::<T>().ok().map(|_| guess)
}

/// Lower case, hyphens for underscores and blanks.
fn host_letters(text: &str) -> String {
    text.trim()
        .to_ascii_lowercase()
        .replace(['_', ' '], "-")
        .trim_matches('-')
        .to_owned()
}

/// A host name: the first label, in lower case, hyphens for underscores.
pub(crate) fn host(text: &str) -> Option<String> {
    let first = text.split('.').next().unwrap_or_default();
    if_right::<HostName>(host_letters(first))
}

/// The same with dots.
pub(crate) fn host_dots(text: &str) -> Option<String> {
    let bare = text.strip_prefix("https://").unwrap_or(text);
    let bare = bare.strip_prefix("*.").unwrap_or(bare);
    let bare = bare.split(['/', ':']).next().unwrap_or_default();
    if_right::<San>(host_letters(bare))
}

/// A package name in lower case.
pub(crate) fn package(text: &str) -> Option<String> {
    if_right::<PackageName>(text.trim().to_ascii_lowercase())
}

/// A size with one of the known units: `384 MB`, `384mib`, `1.5G`.
pub(crate) fn size(text: &str) -> Option<String> {
    let text: String = text.split_whitespace().collect();
    let end = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.chars().next().map(|c| c.to_ascii_uppercase());
    let guess = match (number.split_once('.'), unit) {
        (Some((whole, "5")), Some('G')) => {
            format!("{}M", whole.parse::<u32>().ok()?.checked_mul(1024)? + 512)
        }
        (Some(_), _) => return None,
        (None, unit) => format!("{number}{}", unit.map(String::from).unwrap_or_default()),
    };
    if_right::<ByteSize>(guess)
}

/// A version without its `v`, or with a patch number.
pub(crate) fn version(text: &str) -> Option<String> {
    let bare = text.trim().trim_start_matches('v');
    if_right::<EtcdVersion>(bare.to_owned())
        .or_else(|| if_right::<EtcdVersion>(format!("{bare}.0")))
}

/// A path with its leading slash.
pub(crate) fn path(text: &str) -> Option<String> {
    let fine = !text.is_empty() && !text.contains("..") && !text.contains(char::is_whitespace);
    (fine && !text.starts_with('/')).then(|| format!("/{text}"))
}

/// An address and port without what stands around them in a URL.
pub(crate) fn address_port(text: &str) -> Option<String> {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.trim_end_matches('/').replace("localhost", "127.0.0.1");
    let bare = match bare.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => bare,
    };
    if_right::<ListenAddress>(bare)
}

/// A URL with https and without a path.
pub(crate) fn https(text: &str) -> Option<String> {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.split('/').next().unwrap_or_default();
    if_right::<UrlPattern>(format!("https://{bare}"))
        .or_else(|| if_right::<UrlPattern>(format!("https://{bare}:2379")))
}

/// A path without what leads out of its directory.
pub(crate) fn file(text: &str) -> Option<String> {
    let bare = text.trim_start_matches(['/', '.']);
    (!bare.contains("..") && !bare.is_empty() && !bare.contains(' ')).then(|| bare.to_owned())
}

/// An address without prefix length, port or leading zeros.
pub(crate) fn ip(text: &str) -> Option<String> {
    let bare = text.trim().split('/').next().unwrap_or_default();
    let bare = bare.trim_matches(['[', ']']);
    let plain = |part: &str| match part.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => digits.to_owned(),
    };
    let without_port = bare.split(':').next().unwrap_or_default();
    let unpadded: Vec<String> = without_port.split('.').map(plain).collect();
    if_right::<IpAddr>(bare.to_owned()).or_else(|| if_right::<IpAddr>(unpadded.join(".")))
}

/// A subnet: the network of an address with prefix length; a bare address with /24.
pub(crate) fn subnet(text: &str) -> Option<String> {
    let net = text
        .trim()
        .parse::<IpNet>()
        .ok()
        .or_else(|| format!("{}/24", text.trim()).parse().ok())?;
    Some(net.trunc().to_string())
}

/// A network that a firewall names: bits behind the prefix cleared, one host for a bare address.
pub(crate) fn network(text: &str) -> Option<String> {
    let text = text.trim();
    let net = match text.parse::<IpNet>() {
        Ok(net) => net,
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    Some(net.trunc().to_string())
}

/// A network card's address with colons.
pub(crate) fn mac(text: &str) -> Option<String> {
    let digits: Vec<char> = text.chars().filter(char::is_ascii_hexdigit).collect();
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    if_right::<MacAddress>(pairs.join(":").to_ascii_lowercase())
}

/// A port with its protocol: `9100`, `9100/tcp`.
pub(crate) fn port(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let turned = match lower.split_once('/') {
        Some((port, protocol)) => format!("{protocol}/{port}"),
        None => format!("tcp/{lower}"),
    };
    if_right::<OpenPort>(turned).or_else(|| if_right::<OpenPort>(lower))
}

/// Two letters as capitals.
pub(crate) fn country(text: &str) -> Option<String> {
    if_right::<Country>(text.trim().to_ascii_uppercase())
}

/// A variable's name without what shells put around it.
pub(crate) fn environment(text: &str) -> Option<String> {
    let bare = text.trim().trim_start_matches('$');
    if_right::<EnvName>(bare.trim_matches(['{', '}']).replace('-', "_"))
}

/// A file's mode without Rust's and Python's mark for octal numbers.
pub(crate) fn mode(text: &str) -> Option<String> {
    if_right::<FileMode>(text.trim().trim_start_matches("0o").to_owned())
}

/// A file beside the recipe: what remains without a leading slash or ways upwards.
pub(crate) fn source(text: &str) -> Option<String> {
    let bare = text.trim_start_matches(['/', '.']).replace("../", "");
    if_right::<SourcePath>(bare)
}

/// A unit: without a type it is one of the well-known targets, or a service.
pub(crate) fn unit(text: &str) -> Option<String> {
    const TARGETS: [&str; 6] = [
        "basic",
        "multi-user",
        "network",
        "network-online",
        "sockets",
        "timers",
    ];
    let bare = text.trim();
    let kind = if TARGETS.contains(&bare) {
        "target"
    } else {
        "service"
    };
    if_right::<UnitName>(format!("{bare}.{kind}")).filter(|_| !bare.contains('.'))
}

/// A drop-in without its `.conf`.
pub(crate) fn drop_in(text: &str) -> Option<String> {
    let bare = text.trim().trim_end_matches(".conf");
    if_right::<DropInName>(bare.replace(['.', ' '], "-"))
}

/// A module without directory and suffix.
pub(crate) fn module(text: &str) -> Option<String> {
    let file = text.trim().rsplit('/').next().unwrap_or_default();
    let bare = file.split(".ko").next().unwrap_or_default();
    if_right::<ModuleName>(bare.to_owned())
}
