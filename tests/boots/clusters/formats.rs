//! What QEMU reads boots: each node of a cluster from a file of another format.

use crate::support::cluster::Cluster;
use crate::support::inputs::recipe_copy;
use crate::support::{imgbuild, must, scratch, tool, turn};
use std::os::unix::fs::PermissionsExt;

/// One for each format.
const NODES: [&str; 4] = ["etcd-0", "etcd-1", "etcd-2", "etcd-3"];
const FOURTH: &str = "\n[[node]]\nname = \"etcd-3\"\naddress = \"10.40.0.13\"\n";
const FORMATS: &str = "qcow2,qcow2-thin,vmdk,vhd";
/// What follows a node's name in the name of its file, and what QEMU calls the format.
const DISKS: [(&str, &str); 4] = [
    (".qcow2", "qcow2"),
    (".thin.qcow2", "qcow2"),
    (".vmdk", "vmdk"),
    (".vhd", "vpc"),
];

/// Whose disk and network are the devices that an appliance's machine has: `.ova` describes them,
/// and its disk is the `.vmdk`.
const APPLIANCE: &str = "etcd-2";

/// Boots a cluster in which each node has its disk in another format, straight from the file
/// that was built: what a node writes goes to a temporary file of QEMU's.
#[test]
fn a_cluster_boots_from_every_format_that_qemu_reads() {
    let _turn = turn::cluster();
    let (dir, work) = (scratch(), scratch());
    let recipe = recipe_copy(dir.path(), "vm-3node");
    let text = fs_err::read_to_string(&recipe).unwrap();
    fs_err::write(&recipe, text + FOURTH).unwrap();
    let out = dir.path().join("out");
    let mut build = imgbuild();
    build.arg("build").arg(&recipe).arg("--out").arg(&out);
    must(build.args(["--quiet", "--format", FORMATS]));
    let shim = work.path().join("bin");
    fs_err::create_dir(&shim).unwrap();
    let disks: Vec<_> = NODES.iter().zip(&DISKS).collect();
    let cases: String = disks
        .iter()
        .map(|(node, (suffix, format))| {
            let path = out.join(format!("{node}{suffix}"));
            format!(
                "*/{node}/disk.img,format=raw,*) word=\"file={},format={format},snapshot=on,${{word#*format=raw,}}\" ;;\n",
                path.display()
            )
        })
        .collect();
    let real = tool("sh", &["-c", "command -v qemu-system-x86_64"]);
    let script = format!(
        "#!/bin/bash\nwords=()\ncase \"$*\" in */{APPLIANCE}/disk.img*) appliance=yes ;; esac\n\
         for word in \"$@\"; do\ncase \"$appliance$word\" in\n{cases}\
         yesvirtio-blk-pci,*) words+=(ahci,id=sata -device)\n\
         word=ide-hd,bus=sata.0,${{word#*,}} ;;\n\
         yesvirtio-net-pci,*) word=vmxnet3,${{word#*,}} ;;\nesac\n\
         words+=(\"$word\")\ndone\necho \"${{words[@]}}\" >>\"{}/started\"\n\
         exec -a qemu-system-x86_64 {} \"${{words[@]}}\"\n",
        work.path().display(),
        real.trim()
    );
    let program = shim.join("qemu-system-x86_64");
    fs_err::write(&program, script).unwrap();
    fs_err::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let mut run = imgbuild();
    let path = std::env::var("PATH").unwrap();
    run.env("PATH", format!("{}:{path}", shim.display()));
    let mut cluster = Cluster::start_by(run, work.path(), &recipe, &out, &[]);
    cluster.wait_healthy(&NODES, 600);
    cluster.put("etcd-0", "format", "any");
    assert_eq!(cluster.get("etcd-1", "format").as_deref(), Some("any"));
    let started = fs_err::read_to_string(work.path().join("started")).unwrap();
    for (node, (suffix, format)) in disks {
        let file = format!("/{node}{suffix},format={format},");
        assert!(started.contains(&file), "{file} was not used: {started}");
    }
    let lines = started.lines().filter(|line| line.contains(" vmxnet3,"));
    let appliances: Vec<&str> = lines.filter(|line| line.contains("ide-hd,")).collect();
    assert_eq!(appliances.len(), 1, "{started}");
    assert!(appliances[0].contains("/etcd-2.vmdk,"), "{started}");
    cluster.quit();
}
