//! The forms of strings.

use super::{Pairs, Text};
use crate::mend;

pub(super) const HOST: Text = Text {
    what: "host name",
    pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    example: "etcd-0",
    mend: mend::host,
};
pub(super) const TOKEN: Text = Text {
    what: "token",
    pattern: "^[A-Za-z0-9._-]{1,64}$",
    example: "etcd-cluster-0",
    mend: mend::nothing,
};
pub(super) const SIZE: Text = Text {
    what: "size",
    pattern: "^[0-9]+ *(B|K|KiB|M|MiB|G|GiB|T|TiB)?$",
    example: "512M",
    mend: mend::size,
};
pub(super) const DISK: Text = Text {
    what: "size or `fit`",
    pattern: "^(fit|[0-9]+ *(B|K|KiB|M|MiB|G|GiB|T|TiB)?)$",
    example: "4G",
    mend: mend::size,
};
pub(super) const PACKAGE: Text = Text {
    what: "package name",
    pattern: "^[a-z0-9][a-z0-9+.-]+$",
    example: "htop",
    mend: mend::package,
};
pub(super) const MIRROR: Text = Text {
    what: "http(s) address",
    pattern: "^https?://[^/?#\\s][^?#\\s]*$",
    example: "https://debian.example.org/debian",
    mend: mend::nothing,
};
pub(super) const VERSION: Text = Text {
    what: "version",
    pattern: "^[0-9]+\\.[0-9]+\\.[0-9]+$",
    example: "3.6.16",
    mend: mend::version,
};
pub(super) const PATH: Text = Text {
    what: "absolute path",
    pattern: "^/[^ ]+$",
    example: "/usr/local/bin",
    mend: mend::path,
};
pub(super) const COMPACTION: Text = Text {
    what: "`off`, age or number",
    pattern: "^(off|[1-9][0-9]*(h|m| revisions))$",
    example: "8h",
    mend: mend::nothing,
};
pub(super) const LISTEN: Text = Text {
    what: "`off` or address:port",
    pattern: "^(off|.+:[0-9]+)$",
    example: "127.0.0.1:2381",
    mend: mend::nothing,
};
pub(super) const ADDRESS_PORT: Text = Text {
    what: "address:port",
    pattern: "^.+:[0-9]+$",
    example: "10.9.0.1:2379",
    mend: mend::address_port,
};
pub(super) const ADVERTISED: Text = Text {
    what: "https URL",
    pattern: "^https://[^/]+:[0-9]+$",
    example: "https://{name}.example.org:2379",
    mend: mend::https,
};
pub(super) const VARIABLE: Text = Text {
    what: "variable name",
    pattern: "^(?!ETCD_)[A-Za-z_][A-Za-z0-9_]*$",
    example: "GOMEMLIMIT",
    mend: mend::nothing,
};
pub(super) const VARIABLE_VALUE: Text = Text {
    what: "text",
    pattern: "^[ -~]*$",
    example: "200MiB",
    mend: mend::nothing,
};
pub(super) const COMMON_NAME: Text = Text {
    what: "name of 1 to 64 printable characters",
    pattern: "^[ -~]{1,64}$",
    example: "prometheus",
    mend: mend::nothing,
};
pub(super) const FILE: Text = Text {
    what: "file name or path below the directory",
    pattern: "^[A-Za-z0-9_+-][A-Za-z0-9._/+-]*$",
    example: "etcd/server.crt",
    mend: mend::file,
};
pub(super) const BESIDE: Text = Text {
    what: "path of a file, from the recipe's directory",
    pattern: "^[^\\u0000-\\u001f]+$",
    example: "our-ca.crt",
    mend: mend::nothing,
};
pub(super) const SAN: Text = Text {
    what: "DNS name or IP address",
    pattern: "^[a-z0-9.:-]+$",
    example: "etcd.example.org",
    mend: mend::host_dots,
};
pub(super) const SUBNET: Text = Text {
    what: "subnet",
    pattern: "^[0-9a-f.:]+/[0-9]{1,3}$",
    example: "192.168.1.0/24",
    mend: mend::subnet,
};
pub(super) const IP: Text = Text {
    what: "IP address",
    pattern: "^[0-9a-f.:]+$",
    example: "192.168.1.20",
    mend: mend::ip,
};
pub(super) const INTERFACE: Text = Text {
    what: "interface name",
    pattern: "^[A-Za-z0-9._@-]{1,15}$",
    example: "eth0",
    mend: mend::nothing,
};
pub(super) const SSH_KEY: Text = Text {
    what: "ssh public key",
    pattern: "^\\s*(ssh-|ecdsa-|sk-)[^ ]+ +[A-Za-z0-9+/=]+.*$",
    example: "ssh-ed25519 AAAA... you@laptop",
    mend: mend::nothing,
};
pub(super) const NET: Text = Text {
    what: "network",
    pattern: "^[0-9a-f.:]+/[0-9]{1,3}$",
    example: "10.1.0.0/16",
    mend: mend::network,
};
pub(super) const INTERFACE_ADDRESS: Text = Text {
    what: "IP address with prefix length",
    pattern: "^[0-9a-f.:]+/[0-9]{1,3}$",
    example: "10.1.0.5/24",
    mend: mend::nothing,
};
pub(super) const MAC: Text = Text {
    what: "MAC address",
    pattern: "^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$",
    example: "b8:27:eb:12:34:56",
    mend: mend::mac,
};
pub(super) const DOMAIN: Text = Text {
    what: "domain",
    pattern: "^[a-z0-9.-]+$",
    example: "example.org",
    mend: mend::host_dots,
};
pub(super) const HOSTS: Text = Text {
    what: "line of /etc/hosts",
    pattern: "^[0-9a-f.:]+([ \\t]+[a-z0-9.-]+)+$",
    example: "10.0.0.5 registry.example.org registry",
    mend: mend::nothing,
};
pub(super) const PORT: Text = Text {
    what: "port",
    pattern: "^(tcp|udp)/[1-9][0-9]*$",
    example: "tcp/9100",
    mend: mend::port,
};
pub(super) const SSID: Text = Text {
    what: "name of a wireless network",
    pattern: "^[^\\x00-\\x1f]{1,32}$",
    example: "home",
    mend: mend::nothing,
};
pub(super) const COUNTRY: Text = Text {
    what: "country code",
    pattern: "^[A-Z]{2}$",
    example: "DE",
    mend: mend::country,
};
pub(super) const LOCAL_FILE: Text = Text {
    what: "path of a file",
    pattern: "^[^\\x00-\\x1f]*[^/\\x00-\\x1f]$",
    example: "wifi.passphrase",
    mend: mend::nothing,
};
pub(super) const ENVIRONMENT: Text = Text {
    what: "environment variable",
    pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
    example: "WIFI_PASSPHRASE",
    mend: mend::environment,
};
pub(super) const HASH: Text = Text {
    what: "password hash",
    pattern: "^\\$(y|6)\\$[./0-9A-Za-z$=]+$",
    example: "$6$rounds=5000$saltstring$...",
    mend: mend::nothing,
};
pub(super) const FILE_PATH: Text = Text {
    what: "absolute path",
    pattern: "^/[A-Za-z0-9/._+@:,=~-]+$",
    example: "/etc/motd",
    mend: mend::path,
};
pub(super) const CONTENT: Text = Text {
    what: "text",
    pattern: "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]*$",
    example: "Hello.\n",
    mend: mend::nothing,
};
pub(super) const SOURCE: Text = Text {
    what: "path beside the recipe",
    pattern: "^[^/\\u0000-\\u001f\\u007f][^\\u0000-\\u001f\\u007f]*$",
    example: "files/motd",
    mend: mend::source,
};
pub(super) const MODE: Text = Text {
    what: "file mode",
    pattern: "^[0-7]{3,4}$",
    example: "0644",
    mend: mend::mode,
};
pub(super) const ACCOUNT: Text = Text {
    what: "name of a user or group",
    pattern: "^[A-Za-z_][A-Za-z0-9_.-]{0,31}$",
    example: "root",
    mend: mend::nothing,
};
pub(super) const UNIT: Text = Text {
    what: "unit name",
    pattern: "^[A-Za-z0-9:_.\\\\@-]+\\.[a-z]+$",
    example: "backup.service",
    mend: mend::unit,
};
pub(super) const DROP_IN: Text = Text {
    what: "name",
    pattern: "^[A-Za-z0-9_-]{1,64}$",
    example: "limits",
    mend: mend::drop_in,
};
pub(super) const KERNEL_ARG: Text = Text {
    what: "kernel parameter",
    pattern: "^[^\\s\"']+$",
    example: "mitigations=auto",
    mend: mend::nothing,
};
pub(super) const MODULE: Text = Text {
    what: "kernel module",
    pattern: "^[A-Za-z0-9_-]{1,56}$",
    example: "wireguard",
    mend: mend::module,
};
pub(super) const SYSCTL: Pairs = Pairs {
    what: "kernel setting",
    pattern: "^(abi|crypto|debug|dev|fs|kernel|net|sunrpc|user|vm)([./].+)?$",
    example: "vm.swappiness = 10",
};
