//! What a node says for itself, over what the cluster says: every key, what it rules out, and
//! the keys that no node can have.
#![allow(clippy::unwrap_used)]

mod common;

use common::{changed, rendered};
use imgbuild_base::ByteSize;
use imgbuild_recipe::language::{RECIPE, Section};
use imgbuild_recipe::resolved::{
    ConfigStyle, DiskSize, Etcd, EtcdSource, Firmware, KeyKind, Node, PkiLayout, Run, Warning,
};
use imgbuild_recipe::values::San;
use imgbuild_recipe::{LockInputs, Recipe, load, reference};

/// Two nodes: `a` as the cluster's sections say, `b` with these lines behind it.
fn recipe(cluster: &str, b: &str) -> Recipe {
    let text = format!(
        "[cluster]\nname = \"home\"\n[image]\nboard = \"vm\"\n[network]\nsubnet = \"10.0.0.0/24\"\n\
         {cluster}\n[[node]]\nname = \"a\"\naddress = \"10.0.0.10\"\n\
         [[node]]\nname = \"b\"\naddress = \"10.0.0.11\"\n{b}"
    );
    load(&text, "test.toml").unwrap_or_else(|errors| panic!("{:#?}", errors.mistakes()))
}

/// The nodes of such a recipe.
fn nodes(cluster: &str, b: &str) -> [Node; 2] {
    let Recipe { nodes, .. } = recipe(cluster, b);
    nodes.try_into().unwrap()
}

fn etcds(cluster: &str, b: &str) -> [Etcd; 2] {
    nodes(cluster, b).map(|node| node.etcd)
}

/// The node's sections that say anew what a section of the cluster's says.
fn counterpart(section: &Section) -> &'static Section {
    fn find(within: &'static Section, name: &str) -> Option<&'static Section> {
        within
            .sections()
            .find_map(|inner| match inner.name == name {
                true => Some(inner),
                false => find(inner, name),
            })
    }
    let name = format!("node.{}", section.name);
    find(&RECIPE, &name).unwrap_or_else(|| panic!("no [{name}]"))
}

/// Every key of the cluster's below `section` is a node's too, or says why it cannot be.
fn every_key_is_a_node_s(section: &'static Section, reference: &str) {
    for key in section.keys {
        let path = format!("{}.{}", section.name, key.name);
        let elsewhere = match path.as_str() {
            "image.packages" => Some("node.packages"),
            "pki.extra_sans" => Some("node.extra_sans"),
            _ => None,
        };
        match (key.alone, elsewhere) {
            (Some(why), None) => {
                let row = format!("| `{path}` | {why} |");
                assert!(reference.contains(&row), "the reference lacks {row}");
            }
            (None, Some(other)) => assert!(reference.contains(&format!("`{other}`")), "{other}"),
            (None, None) => {
                let own = counterpart(section);
                assert_eq!(own.cluster_s().unwrap().name, section.name);
                assert!(own.key(key.name).is_some(), "[{}] {}", own.name, key.name);
            }
            (Some(_), Some(_)) => panic!("{path} is both"),
        }
    }
    let alone: Vec<&str> = (section.keys.iter())
        .filter(|key| key.alone.is_some())
        .map(|key| key.name)
        .collect();
    for inner in section.sections() {
        let last = inner.name.rsplit('.').next().unwrap();
        if !alone.contains(&last) {
            every_key_is_a_node_s(inner, reference);
        }
    }
}

#[test]
fn every_key_is_a_node_s_too_or_says_why_not() {
    let reference = reference();
    for section in RECIPE.sections().filter(|section| section.name != "node") {
        every_key_is_a_node_s(section, &reference);
    }
}

#[test]
fn a_host_name_of_its_own() {
    let [a, b] = nodes(
        "[etcd]\nadvertise_client = [\"https://{hostname}.example.org:2379\"]",
        "hostname = \"rack-7\"\nnetwork.domain = \"example.org\"",
    );
    assert_eq!((a.hostname.as_str(), a.names().count()), ("a", 1));
    let names: Vec<&str> = b.names().map(|name| name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), b.name.as_str()),
        (["b", "rack-7"].as_slice(), "b")
    );
    assert_eq!(b.extra_sans, [San::Dns("rack-7.example.org".into())]);
    assert_eq!(
        b.advertised.client[0].to_string(),
        "https://rack-7.example.org:2379"
    );
}

#[test]
fn an_image_of_its_own() {
    let [a, b] = nodes(
        "[firewall]",
        "[node.image]\nsize = \"1G\"\nboot_reserve = \"128M\"\nfirmware = \"hybrid\"",
    );
    assert_eq!(a.image.size, DiskSize::Exactly(ByteSize::mib(384)));
    assert_eq!(a.image.boot_reserve, ByteSize::mib(64));
    assert_eq!(a.image.firmware, Firmware::Uefi);
    assert_eq!(b.image.size, DiskSize::Exactly(ByteSize::mib(1024)));
    assert_eq!(b.image.boot_reserve, ByteSize::mib(128));
    assert_eq!(b.image.firmware, Firmware::Hybrid);
    let hybrid = LockInputs::of(&recipe("", "[node.image]\nfirmware = \"hybrid\""));
    let differences = hybrid.differences(&LockInputs::of(&recipe("", "")));
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].key, "image.firmware");
}

#[test]
fn an_etcd_of_its_own() {
    let [a, b] = etcds(
        "[etcd]\nsource = \"build\"\nwal_dir = \"/var/lib/wal\"",
        "[node.etcd]\nsource = \"release\"\nversion = \"3.6.15\"\nbin_dir = \"/opt/etcd\"\n\
         data_dir = \"/var/lib/b\"\nwal_dir = \"/var/lib/b-wal\"\nconfig = \"environment\"\n\
         config_path = \"/etc/b.env\"\nplain_local_listener = true",
    );
    assert!(matches!(a.source, EtcdSource::Build { .. }));
    assert_eq!(a.bin_dir.absolute(), "/usr/local/bin");
    assert!(!a.plain_local_listener);
    assert!(matches!(b.source, EtcdSource::Release { .. }));
    assert_eq!(b.version().unwrap().to_string(), "3.6.15");
    assert_eq!(b.bin_dir.absolute(), "/opt/etcd");
    assert_eq!(b.data_dir.absolute(), "/var/lib/b");
    assert_eq!(b.wal_dir.unwrap().absolute(), "/var/lib/b-wal");
    assert_eq!(b.config, ConfigStyle::Environment);
    assert_eq!(b.config_path.unwrap().absolute(), "/etc/b.env");
    assert!(b.plain_local_listener);

    // What a node leaves out is as in the cluster's.
    let [a, b] = etcds(
        "[etcd]\nsource = \"build\"\nbin_dir = \"/opt/etcd\"\nwal_dir = \"/var/lib/wal\"\n\
         config = \"environment\"\nconfig_path = \"/etc/x.env\"\nplain_local_listener = true",
        "[node.etcd]\ndata_dir = \"/var/lib/b\"",
    );
    let data_dir = a.data_dir.clone();
    assert_eq!(a, Etcd { data_dir, ..b });
}

#[test]
fn what_a_node_rules_out_is_not_taken_over() {
    let cluster = "[etcd]\nsource = \"build\"\nversion = \"3.6.16\"\nbin_dir = \"/opt/etcd\"\n\
                   config = \"file\"\nconfig_path = \"/etc/x.yml\"";
    let [_, b] = etcds(cluster, "[node.etcd]\nsource = \"debian\"");
    assert_eq!((b.source, b.version()), (EtcdSource::Debian, None));
    assert_eq!(b.bin_dir.absolute(), "/usr/bin");
    let [_, b] = etcds(cluster, "[node.etcd]\nrun = \"static-pod\"");
    assert_eq!((b.run, b.config), (Run::StaticPod, ConfigStyle::Flags));
    assert_eq!(b.config_path, None);
    let [_, b] = etcds(cluster, "[node.etcd]\nconfig = \"environment\"");
    assert_eq!(b.config_path.unwrap().absolute(), "/etc/etcd/etcd.conf");
    let [a, b] = etcds(
        "[etcd]\nsource = \"debian\"",
        "[node.etcd]\nsource = \"build\"",
    );
    assert_eq!(a.bin_dir.absolute(), "/usr/bin");
    assert_eq!(b.bin_dir.absolute(), "/usr/local/bin");
    assert_eq!(b.version().unwrap().to_string(), "3.6.16");
}

#[test]
fn certificates_of_its_own() {
    let shared =
        "[pki]\nlayout = \"shared\"\ndir = \"/etc/ssl/etcd\"\n[pki.files]\nca = \"our.pem\"\n";
    let own =
        "[node.pki]\nlayout = \"kubeadm\"\nkey = \"rsa-2048\"\nleaf_days = 30\ngeneration = 2";
    let [a, b] = nodes(shared, own).map(|node| node.pki);
    assert!(matches!(&a.layout, PkiLayout::Shared { dir } if dir.absolute() == "/etc/ssl/etcd"));
    assert_eq!(a.files.ca.as_str(), "our.pem");
    assert!(
        matches!(&b.layout, PkiLayout::Kubeadm { dir } if dir.absolute() == "/etc/kubernetes/pki")
    );
    assert_eq!(b.files.ca.as_str(), "etcd/ca.crt");
    assert_eq!(
        (b.leaf.key, b.leaf.days, b.leaf.generation),
        (KeyKind::Rsa2048, 30, 2)
    );
    let [_, b] = nodes(
        shared,
        "[node.pki]\ndir = \"/etc/b\"\n[node.pki.files]\nserver = \"b.pem\"",
    )
    .map(|node| node.pki);
    assert_eq!(b.layout.dir().absolute(), "/etc/b");
    assert_eq!(b.files.ca.as_str(), "our.pem");
    assert_eq!(b.files.server.cert.as_str(), "b.pem");
}

#[test]
fn a_lock_knows_every_etcd() {
    let inputs = |b: &str| LockInputs::of(&recipe("[etcd]\nsource = \"build\"", b));
    let plain = inputs("");
    let shown = |b: &str| -> Vec<String> {
        let differences = inputs(b).differences(&plain);
        differences.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        shown("[node.etcd]\ndata_dir = \"/var/lib/b\"\nversion = \"3.6.16\""),
        [""; 0]
    );
    assert_eq!(
        shown("[node.etcd]\nversion = \"3.6.15\""),
        [
            "node.b.etcd.source is \"build\" in the recipe and absent in the lock",
            "node.b.etcd.version is \"3.6.15\" in the recipe and absent in the lock",
        ]
    );
    assert_eq!(
        shown("[node.etcd]\nrun = \"static-pod\""),
        ["etcd.run is \"static-pod\" in the recipe and absent in the lock"]
    );
}

#[test]
fn members_of_two_series_are_a_warning() {
    let mixed = recipe("", "[node.etcd]\nversion = \"3.7.3\"");
    let told = Warning::MixedSeries {
        oldest: "3.6".to_owned(),
        newest: "3.7".to_owned(),
    };
    assert!(mixed.warnings.contains(&told), "{:?}", mixed.warnings);
    let same = recipe("", "[node.etcd]\nversion = \"3.6.15\"");
    assert!(!same.warnings.contains(&told));
}

/// What a node of the good recipe cannot say.
macro_rules! mistakes {
    ($($name:ident: [$($change:expr),+ $(,)?];)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), rendered(&changed(&[$($change),+])));
        }
    )*};
}

/// The change that gives the node these further lines.
fn own(lines: &str) -> (&'static str, &'static str) {
    let text = format!("address = \"10.0.0.10\"\n{lines}");
    ("address = \"10.0.0.10\"", text.leak())
}

mistakes! {
    hostname_form: [own("hostname = \"Rack_7\"")];
    hostname_localhost: [own("hostname = \"localhost\"")];
    hostname_of_another: [own("hostname = \"b\"\n[[node]]\nname = \"b\"\naddress = \"10.0.0.11\"")];
    hostname_twice: [own("hostname = \"x\"\n[[node]]\nname = \"b\"\nhostname = \"x\"\naddress = \"10.0.0.11\"")];
    hostname_has_a_line: [("[network]", "[network]\nhosts = [\"10.0.0.5 x\"]"), own("hostname = \"x\"")];
    image_key_of_the_cluster: [own("[node.image]\narch = \"arm64\"")];
    image_too_small: [own("[node.image]\nsize = \"128M\"")];
    image_reserve_too_large: [("board = \"vm\"", "board = \"vm\"\nsize = \"384M\""), own("[node.image]\nboot_reserve = \"256M\"")];
    image_firmware_of_arm: [("board = \"vm\"", "board = \"vm\"\narch = \"arm64\""), own("[node.image]\nfirmware = \"hybrid\"")];
    etcd_version_of_debian: [("source = \"build\"", "source = \"debian\""), own("[node.etcd]\nversion = \"3.6.16\"")];
    etcd_pod_of_debian: [("source = \"build\"", "run = \"static-pod\""), own("[node.etcd]\nsource = \"debian\"")];
    etcd_paths: [own("[node.etcd]\nbin_dir = \"/var/x\"\ndata_dir = \"/srv\"\nconfig = \"flags\"\nconfig_path = \"/etc/x\"")];
    etcd_wal_is_data: [own("[node.etcd]\nwal_dir = \"/var/lib/etcd\"")];
    etcd_without_the_cluster_s_option: [
        ("[network]", "[etcd.options]\nmax-learners = 2\n[network]"),
        own("[node.etcd]\nversion = \"3.5.21\""),
    ];
    etcd_file_without_the_cluster_s_option: [
        ("source = \"build\"", "config = \"flags\""),
        ("[network]", "[etcd.options]\nraft-read-timeout = \"7s\"\n[network]"),
        own("[node.etcd]\nconfig = \"file\""),
    ];
    etcd_plain_where_the_cluster_listens: [
        ("source = \"build\"", "client_listeners = [\"0.0.0.0:2379\"]"),
        own("[node.etcd]\nplain_local_listener = true"),
    ];
    etcd_two_series_apart: [own("[node.etcd]\nversion = \"3.7.3\"\n[[node]]\nname = \"b\"\naddress = \"10.0.0.11\"\n[node.etcd]\nversion = \"3.5.21\"")];
    pki_key_of_the_cluster: [own("[node.pki]\nca_days = 7")];
    pki_leaf_of_a_shared_one: [own("[node.pki]\nlayout = \"shared\"\nkey = \"ed25519\"")];
    pki_files_of_the_other_layout: [own("[node.pki]\nlayout = \"shared\"\nfiles.peer = \"x\"")];
    pki_dir_hidden: [own("[node.pki]\ndir = \"/run/pki\"")];
}
