//! What nodes have beyond the base: every key read, inherited and overridden, and every kind of
//! mistake in them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{changed, rendered};
use imgbuild_recipe::resolved::{Console, Content, Start, UnitAction};
use imgbuild_recipe::values::PackageName;
use imgbuild_recipe::{LockInputs, load, schema};

const HASH: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIA8K1UiXnAmkNNWx1Yy0d2sBp0aFSsYyQz3M8o2CW9p me";

/// Every key of these sections, on a cluster of two of which the second differs.
fn everything() -> String {
    format!(
        r#"
[cluster]
name = "home"
[image]
board = "vm"
packages = ["less"]
[network]
subnet = "10.0.0.0/24"
[access]
console = "login"
root_password_hash = "{HASH}"
ssh_keys = ["{KEY}"]
[kernel]
args = ["mitigations=auto", "imgbuild.wait=90"]
modules = ["dm-crypt", "dm_crypt", "tun"]
blacklist = ["floppy"]
[kernel.sysctl]
vm.swappiness = 10
"net/ipv4/conf/eth0.100/forwarding" = 1
kernel.core_pattern = "|/bin/false"
[[file]]
path = "/etc/motd"
content = "Hello.\n"
[[file]]
path = "/etc/secret"
content = "correct horse"
mode = "0640"
user = "etcd"
group = "etcd"
replace = true
[[unit]]
name = "backup.service"
content = "[Service]\nExecStart=/bin/true\n"
[[unit]]
name = "backup.timer"
source = "units/backup.timer"
enable = true
replace = true
[[unit]]
name = "etcd.service"
drop_in = "memory"
content = "[Service]\nMemoryHigh=100M\n"
[[unit]]
name = "less.service"
wanted_by = ["multi-user.target"]
[[unit]]
name = "fstrim.timer"
mask = true
[[node]]
name = "a"
address = "10.0.0.10"
[[node]]
name = "b"
address = "10.0.0.11"
packages = ["htop", "less"]
[node.access]
console = "shell"
ssh_keys = []
[node.kernel]
args = ["quiet"]
modules = []
blacklist = ["tun"]
sysctl.vm.swappiness = 20
[[node.file]]
path = "/etc/motd"
source = "motd"
[[node.unit]]
name = "backup.service"
mask = true
[[node.unit]]
name = "etcd.service"
drop_in = "more"
content = "[Service]\nNice=1\n"
"#
    )
}

#[test]
fn a_node_inherits_and_overrides() {
    let recipe = load(&everything(), "all.toml").unwrap();
    let [a, b] = &recipe.nodes[..] else { panic!() };
    assert!(
        matches!(&a.access.console, Console::Login { root_password } if root_password.expose() == HASH)
    );
    assert_eq!(a.access.ssh.as_ref().unwrap().keys[0].line(), KEY);
    assert_eq!((&b.access.console, &b.access.ssh), (&Console::Shell, &None));
    assert!(recipe.any_login() && recipe.any_ssh());

    let words = |list: &[_]| {
        list.iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
    };
    assert_eq!(
        words(&a.system.kernel.args),
        ["mitigations=auto", "imgbuild.wait=90"]
    );
    assert_eq!(words(&b.system.kernel.args), ["quiet"]);
    let words = |list: &[_]| {
        list.iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
    };
    assert_eq!(words(&a.system.kernel.modules), ["dm_crypt", "tun"]);
    assert_eq!(words(&b.system.kernel.modules), [""; 0]);
    assert_eq!(words(&a.system.kernel.blacklist), ["floppy"]);
    assert_eq!(words(&b.system.kernel.blacklist), ["tun"]);
    let settings = |node: &imgbuild_recipe::resolved::Node| -> Vec<String> {
        let all = node.system.kernel.sysctl.iter();
        all.map(|(name, value)| format!("{name} = {value}"))
            .collect()
    };
    assert_eq!(
        settings(a),
        [
            "kernel.core_pattern = |/bin/false",
            "net.ipv4.conf.eth0/100.forwarding = 1",
            "vm.swappiness = 10"
        ]
    );
    assert_eq!(settings(b)[2], "vm.swappiness = 20");

    let names = |names: &[PackageName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&a.system.packages), ["less"]);
    assert_eq!(names(&b.system.packages), ["htop", "less"]);
    assert_eq!(recipe.package_sets().len(), 2);
    let inputs = LockInputs::of(&recipe);
    let inputs: Vec<String> = inputs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert!(
        inputs.contains(&"node.b.packages=htop".to_owned()),
        "{inputs:?}"
    );
    assert!(inputs.contains(&"access.login=yes".to_owned()));
}

#[test]
fn files_and_units_are_the_clusters_with_the_nodes_own() {
    let recipe = load(&everything(), "all.toml").unwrap();
    let [a, b] = &recipe.nodes[..] else { panic!() };
    let files = |node: &imgbuild_recipe::resolved::Node| -> Vec<String> {
        let shown = node.system.files.iter().map(|file| {
            let owner = format!("{}:{}", file.user, file.group);
            format!("{} {} {owner} {}", file.path, file.mode, file.replace)
        });
        shown.collect()
    };
    assert_eq!(
        files(a),
        [
            "etc/motd 0644 root:root false",
            "etc/secret 0640 etcd:etcd true"
        ]
    );
    assert_eq!(
        files(b),
        [
            "etc/secret 0640 etcd:etcd true",
            "etc/motd 0644 root:root false"
        ]
    );
    assert!(matches!(&a.system.files[0].content, Content::Text(text) if text == "Hello.\n"));
    let sources: Vec<String> = b.system.sources().map(ToString::to_string).collect();
    assert_eq!(sources, ["motd", "units/backup.timer"]);

    let units = |node: &imgbuild_recipe::resolved::Node| -> Vec<String> {
        let shown = node.system.units.iter().map(|unit| {
            let what = match &unit.action {
                UnitAction::Write {
                    start: Start::Never,
                    replace,
                    ..
                } => format!("write {replace}"),
                UnitAction::Write { start, replace, .. } => format!("write {replace} {start:?}"),
                UnitAction::DropIn { name, .. } => format!("drop-in {name}"),
                UnitAction::Enable {
                    start: Start::WantedBy(by),
                } => format!("by {}", by[0]),
                UnitAction::Enable { start } => format!("enable {start:?}"),
                UnitAction::Mask => "mask".to_owned(),
            };
            format!("{} {what}", unit.name)
        });
        shown.collect()
    };
    assert_eq!(
        units(a),
        [
            "backup.service write false",
            "backup.timer write true Install",
            "etcd.service drop-in memory",
            "less.service by multi-user.target",
            "fstrim.timer mask",
        ]
    );
    assert_eq!(
        units(b)[3..],
        [
            "fstrim.timer mask",
            "backup.service mask",
            "etcd.service drop-in more"
        ]
    );
}

#[test]
fn what_may_be_secret_is_not_written_out() {
    let recipe = load(&everything(), "all.toml").unwrap();
    let shown = toml::to_string(&recipe).unwrap() + &serde_json::to_string(&recipe).unwrap();
    let debug = format!("{recipe:?}");
    assert!(!shown.contains(HASH) && !debug.contains(HASH));
    assert!(!shown.contains("correct horse"), "{shown}");
    let of = |text: &str| imgbuild_base::Digest::of(text.as_bytes()).to_string();
    assert!(!shown.contains(&of("correct horse")));
    assert!(shown.contains(&of("Hello.\n")));
}

#[test]
fn the_schema_knows_the_keys() {
    let schema = schema();
    let node = &schema["properties"]["node"]["items"]["properties"];
    for (section, node, key) in [
        (&schema["properties"]["kernel"], &node["kernel"], "sysctl"),
        (
            &schema["properties"]["access"],
            &node["access"],
            "root_password_hash",
        ),
        (
            &schema["properties"]["file"]["items"],
            &node["file"]["items"],
            "source",
        ),
        (
            &schema["properties"]["unit"]["items"],
            &node["unit"]["items"],
            "drop_in",
        ),
    ] {
        assert!(section["properties"][key].is_object(), "{key}");
        assert_eq!(section["properties"], node["properties"]);
    }
}

macro_rules! mistakes {
    ($($name:ident: $text:expr;)*) => {$(
        #[test]
        fn $name() {
            let before_node = ("[[node]]", concat!($text, "\n[[node]]"));
            insta::assert_snapshot!(stringify!($name), rendered(&changed(&[before_node])));
        }
    )*};
}

macro_rules! node_mistakes {
    ($($name:ident: $text:expr;)*) => {$(
        #[test]
        fn $name() {
            let behind_node = ("address = \"10.0.0.10\"", concat!("address = \"10.0.0.10\"\n", $text));
            insta::assert_snapshot!(stringify!($name), rendered(&changed(&[behind_node])));
        }
    )*};
}

mistakes! {
    file_without_content: "[[file]]\npath = \"/etc/motd\"";
    file_without_path: "[[file]]\ncontent = \"x\"";
    file_with_two_contents: "[[file]]\npath = \"/etc/motd\"\ncontent = \"x\"\nsource = \"motd\"";
    file_path_form: "[[file]]\npath = \"etc/motd\"\ncontent = \"x\"\n[[file]]\npath = \"/etc/a file\"\ncontent = \"\"";
    file_hidden: "[[file]]\npath = \"/var/lib/x\"\ncontent = \"x\"\n[[file]]\npath = \"/run/x\"\ncontent = \"x\"\n[[file]]\npath = \"/proc/x\"\ncontent = \"x\"";
    file_behind_a_link: "[[file]]\npath = \"/bin/tool\"\ncontent = \"x\"";
    file_of_the_builder: "[[file]]\npath = \"/etc/hostname\"\ncontent = \"x\"\n[[file]]\npath = \"/etc/systemd/system/a.service\"\ncontent = \"x\"\n[[file]]\npath = \"/etc/shadow\"\ncontent = \"x\"\nreplace = true";
    file_twice: "[[file]]\npath = \"/etc/motd\"\ncontent = \"x\"\n[[file]]\npath = \"/etc//motd\"\ncontent = \"y\"";
    file_mode_form: "[[file]]\npath = \"/etc/motd\"\ncontent = \"x\"\nmode = \"0o644\"\n[[file]]\npath = \"/etc/b\"\ncontent = \"x\"\nmode = 644\n[[file]]\npath = \"/etc/c\"\ncontent = \"x\"\nmode = \"rw-r--r--\"";
    file_owner_form: "[[file]]\npath = \"/etc/motd\"\ncontent = \"x\"\nuser = \"0\"\ngroup = \"a b\"";
    file_replace_type: "[[file]]\npath = \"/etc/motd\"\ncontent = \"x\"\nreplace = \"yes\"";
    file_source_outside: "[[file]]\npath = \"/etc/motd\"\nsource = \"/etc/motd\"\n[[file]]\npath = \"/etc/b\"\nsource = \"../motd\"";
    file_keys: "[[file]]\ndest = \"/etc/motd\"\ntext = \"x\"\nmodes = \"0644\"";
    file_is_no_list: "[file]\npath = \"/etc/motd\"\ncontent = \"x\"";
    unit_name_form: "[[unit]]\nname = \"backup\"\nenable = true\n[[unit]]\nname = \"a.scope\"\nenable = true";
    unit_nothing_said: "[[unit]]\nname = \"backup.service\"";
    unit_without_install: "[[unit]]\nname = \"backup.service\"\ncontent = \"[Service]\\nExecStart=/bin/true\\n\"\nenable = true";
    unit_not_in_a_section: "[[unit]]\nname = \"backup.service\"\ncontent = \"ExecStart=/bin/true\\n\"";
    unit_of_another_type: "[[unit]]\nname = \"backup.timer\"\ncontent = \"[Service]\\nExecStart=/bin/true\\n\"";
    unit_two_contents: "[[unit]]\nname = \"a.service\"\ncontent = \"[Service]\\n\"\nsource = \"a.service\"";
    unit_mask_and_more: "[[unit]]\nname = \"a.service\"\nmask = true\nenable = true";
    unit_enabled_and_not: "[[unit]]\nname = \"a.service\"\nenable = false\nwanted_by = [\"multi-user.target\"]";
    unit_wanted_by_nothing: "[[unit]]\nname = \"a.service\"\nwanted_by = []";
    unit_wanted_by_form: "[[unit]]\nname = \"a.service\"\nwanted_by = [\"multi-user\"]";
    unit_template_started: "[[unit]]\nname = \"a@.service\"\ncontent = \"[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n\"\nenable = true\n[[unit]]\nname = \"b@.service\"\nwanted_by = [\"multi-user.target\"]";
    unit_drop_in_without_text: "[[unit]]\nname = \"a.service\"\ndrop_in = \"limits.conf\"\n[[unit]]\nname = \"b.service\"\ndrop_in = \"limits\"";
    unit_drop_in_enabled: "[[unit]]\nname = \"a.service\"\ndrop_in = \"limits\"\ncontent = \"[Service]\\nNice=1\\n\"\nenable = true";
    unit_replaces_nothing: "[[unit]]\nname = \"a.service\"\nenable = true\nreplace = true";
    unit_of_the_builder: "[[unit]]\nname = \"etcd.service\"\nmask = true";
    unit_twice: "[[unit]]\nname = \"a.service\"\nmask = true\n[[unit]]\nname = \"a.service\"\nenable = true\n[[unit]]\nname = \"b.service\"\ndrop_in = \"x\"\ncontent = \"[Unit]\\n\"\n[[unit]]\nname = \"b.service\"\ndrop_in = \"x\"\ncontent = \"[Unit]\\n\"";
    kernel_owned_args: "[kernel]\nargs = [\"root=/dev/sda1\", \"init=/bin/sh\", \"net.ifnames=1\", \"quiet\"]";
    kernel_arg_form: "[kernel]\nargs = [\"a b\"]";
    kernel_arg_of_the_initramfs: "[kernel]\nargs = [\"imgbuild.wiat=9\", \"imgbuild.colour\"]";
    kernel_module_form: "[kernel]\nmodules = [\"drivers/net/tun.ko.xz\"]\nblacklist = [\"a b\"]";
    kernel_loaded_and_blacklisted: "[kernel]\nmodules = [\"dm-crypt\"]\nblacklist = [\"dm_crypt\"]";
    sysctl_name: "[kernel.sysctl]\nswappiness = 10\nvirtual.x = 1";
    sysctl_value: "[kernel.sysctl]\nvm.swappiness = true\nvm.x = 1.5\nvm.y = \"a\\nb\"";
    sysctl_owned: "[kernel.sysctl]\nkernel.hostname = \"x\"";
    sysctl_twice: "[kernel.sysctl]\nvm.swappiness = 1\n\"vm/swappiness\" = 2";
    sysctl_type: "[kernel]\nsysctl = [\"vm.swappiness=1\"]";
    sysctl_elsewhere: "[sysctl]\nvm.swappiness = 1";
    console_word: "[access]\nconsole = \"getty\"";
    login_without_password: "[access]\nconsole = \"login\"";
    password_without_login: concat!("[access]\nroot_password_hash = \"$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/\"");
    password_in_plain_text: "[access]\nconsole = \"login\"\nroot_password_hash = \"hunter2\"";
}

node_mistakes! {
    node_file: "[[node.file]]\npath = \"/sys/x\"\ncontent = \"x\"";
    node_unit: "[[node.unit]]\nname = \"a.service\"";
    node_kernel: "[node.kernel]\nargs = [\"root=/dev/sda\"]\nsysctl.a.b = 1";
    node_access: "[node.access]\nconsole = \"login\"";
    node_package: "packages = [\"Htop!\"]";
}
