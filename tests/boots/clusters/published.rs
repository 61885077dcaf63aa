//! A published image without secrets, and a layer for each node: together they are a cluster.

use crate::support::cluster::Cluster;
use crate::support::inputs::recipe_copy;
use crate::support::{boot_offset, build, imgbuild, must, scratch, tool, turn};
use std::os::unix::fs::PermissionsExt as _;

const NODES: [&str; 3] = ["etcd-0", "etcd-1", "etcd-2"];

#[test]
fn one_published_image_and_three_layers_make_a_cluster() {
    let dir = scratch();
    let recipe = recipe_copy(&dir.path().join("recipe"), "vm-3node");
    let out = build(recipe.to_str().unwrap(), &dir.path().join("out"));
    let release = dir.path().join("release");
    let mut publish = imgbuild();
    publish.arg("release").arg(&recipe).arg("--quiet");
    must(publish.arg("--out").arg(&release));
    let published = release.join("vm-3node-amd64.img.zst");
    let (work, layers) = (dir.path().join("work"), dir.path().join("layers"));
    for node in NODES {
        let disk = work.join(node).join("disk.img");
        fs_err::create_dir_all(disk.parent().unwrap()).unwrap();
        fs_err::File::create(&disk)
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
        let mut flash = imgbuild();
        flash.args(["flash", "--yes", "--image"]).arg(&published);
        must(flash.arg(&disk));

        let mut write = imgbuild();
        write.arg("node-layer").arg(&recipe).arg(node).arg("--out");
        must(write.arg(&layers));
        let layer = fs_err::read_dir(&layers)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_str().unwrap().contains(&format!("/20-{node}-")))
            .unwrap();
        let mode = fs_err::metadata(&layer).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let drive = format!("{}@@{}", disk.display(), boot_offset(&disk));
        tool(
            "mcopy",
            &["-i", &drive, layer.to_str().unwrap(), "::layers/"],
        );
    }

    let _turn = turn::cluster();
    let options = ["--memory", "256"];
    let mut cluster = Cluster::start_in(&work, &recipe, &out, &options);
    cluster.wait_healthy(&NODES, 900);
    cluster.put("etcd-0", "key", "value");
    assert_eq!(cluster.get("etcd-2", "key").as_deref(), Some("value"));
    cluster.quit();
}
