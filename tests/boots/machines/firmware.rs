//! Images for a PC: one with `image.firmware = "hybrid"` starts by a BIOS and by UEFI, from the
//! same disk.

use crate::support::cluster::Cluster;
use crate::support::console::Console;
use crate::support::{any_image, build, imgbuild, must_fail, repository, scratch, tool, turn};
use std::path::PathBuf;

const NODE: &str = "etcd-0";

fn hybrid() -> PathBuf {
    repository().join("tests/recipes/hybrid.toml")
}

#[test]
fn one_disk_starts_by_a_bios_and_by_uefi() {
    let _turn = turn::machine();
    let dir = scratch();
    let (out, work) = (dir.path().join("out"), dir.path().join("work"));
    fs_err::create_dir(&work).unwrap();
    let recipe = hybrid();
    build(recipe.to_str().unwrap(), &out);
    let image = any_image(&out).display().to_string();
    assert!(tool("sgdisk", &["-v", &image]).contains("No problems found"));
    assert!(tool("sfdisk", &["--verify", &image]).contains("No errors detected"));
    let bios = "21686148-6449-6E6F-744E-656564454649";
    let built = partitions(&image);
    assert_eq!(built[0].0, "boot");
    assert_eq!(built[1..], [("bios".to_owned(), bios.to_owned())]);

    // The BIOS makes the state partition, UEFI finds it with what is on it.
    let start = |firmware: &str| {
        let options = ["--memory", "256", "--firmware", firmware];
        let mut cluster = Cluster::start_in(&work, &recipe, &out, &options);
        cluster.wait_healthy(&[NODE], 900);
        cluster.wait_clean(&[NODE], 300);
        let mut console = Console::connect(&cluster.console_socket(NODE), 120);
        let said = console.run(
            "test -d /sys/firmware/efi && echo UEFI || echo BIOS; \
             while read -r device place rest; do \
             if [ \"$place\" = /var ]; then echo \"$device\"; fi; done </proc/mounts",
        );
        (cluster, said)
    };
    let (cluster, said) = start("bios");
    assert_eq!(said, "BIOS\n/dev/vda3");
    cluster.put(NODE, "started by", "a BIOS");
    cluster.quit();
    let (cluster, said) = start("uefi");
    assert_eq!(said, "UEFI\n/dev/vda3");
    assert_eq!(cluster.get(NODE, "started by").as_deref(), Some("a BIOS"));
    let disk = cluster.disk(NODE).display().to_string();
    cluster.quit();
    let now = partitions(&disk);
    let names: Vec<&str> = now.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["boot", "bios", "state"]);
    assert!(tool("sgdisk", &["-v", &disk]).contains("No problems found"));
}

/// Names and types of the partitions, as sfdisk sees them.
fn partitions(image: &str) -> Vec<(String, String)> {
    let json = tool("sfdisk", &["--json", image]);
    let table: serde_json::Value = serde_json::from_str(&json).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let both = |partition: &serde_json::Value| (text(&partition["name"]), text(&partition["type"]));
    partitions.iter().map(both).collect()
}

#[test]
fn a_bios_is_not_given_what_it_cannot_start() {
    let out = scratch();
    let mut run = imgbuild();
    run.args(["run", "vm-1node", "--quiet", "--firmware", "bios", "--out"]);
    let said = must_fail(run.arg(out.path()), 9);
    assert!(said.contains("image.firmware = \"hybrid\""), "{said}");
    let left = fs_err::read_dir(out.path()).unwrap().count();
    assert_eq!(left, 0, "something was built first");
}
