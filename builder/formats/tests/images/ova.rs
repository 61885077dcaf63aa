//! Appliances as tar, sha256sum, xmllint and qemu-img read them.

use crate::support::{assert_reads_as, edges, image, mixed, qemu_img, run, same_on_any_threads};
use imgbuild_base::{Digest, Epoch};
use imgbuild_formats::disk::DiskImage;
use imgbuild_formats::ova::{Appliance, Firmware, WriteError, write};
use imgbuild_formats::vmdk;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

fn appliance(firmware: Firmware) -> Appliance {
    Appliance {
        name: "node-1".parse().unwrap(),
        cpus: 2.try_into().unwrap(),
        memory_mib: 1024.try_into().unwrap(),
        firmware,
        disk: Digest::of(b"disk"),
        // 2026-11-20T12:00:00Z
        made: Epoch::from_u32(1_795_176_000),
    }
}

fn bytes(image: &DiskImage, appliance: &Appliance) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    write(image, appliance, &mut out).unwrap();
    assert_eq!(out.position(), out.get_ref().len() as u64);
    out.into_inner()
}

fn tar(arguments: &[&str], file: &Path) -> String {
    let mut command = Command::new("tar");
    command.args(arguments).arg("-f").arg(file);
    command.current_dir(file.parent().unwrap());
    run(command.env("TZ", "UTC").env("LC_ALL", "C.UTF-8"))
}

/// What `expression` selects in the descriptor.
fn xpath(descriptor: &Path, expression: &str) -> String {
    let mut command = Command::new("xmllint");
    command
        .args(["--nonet", "--xpath", expression])
        .arg(descriptor);
    run(&mut command).trim().to_owned()
}

#[test]
fn every_judge_agrees() {
    for (name, image) in edges() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node-1.ova");
        fs_err::write(&file, bytes(&image, &appliance(Firmware::Efi))).unwrap();
        tar(&["-x"], &file);
        let sums = fs_err::read_to_string(dir.path().join("node-1.mf")).unwrap();
        let sums = sums
            .lines()
            .map(|line| line.replace("SHA256(", "SHA256 (").replace(")= ", ") = "));
        let list = dir.path().join("sums");
        fs_err::write(&list, sums.collect::<Vec<_>>().join("\n") + "\n").unwrap();
        let mut check = Command::new("sha256sum");
        let said = run(check
            .args(["--strict", "-c", "sums"])
            .current_dir(dir.path()));
        assert_eq!(said, "node-1.ovf: OK\nnode-1-disk1.vmdk: OK\n", "{name}");

        let disk = dir.path().join("node-1-disk1.vmdk");
        let said = qemu_img(&["check", "-f", "vmdk"], &[&disk]);
        assert!(said.contains("No errors were found"), "{name}: {said}");
        let size = vmdk::rounded(image.size()).get();
        assert_reads_as(&disk, "vmdk", &image, size);

        let ovf = dir.path().join("node-1.ovf");
        let length = fs_err::metadata(&disk).unwrap().len();
        let attribute = |path: &str| xpath(&ovf, &format!("string(//*[local-name()={path})"));
        assert_eq!(
            attribute("'File']/@*[local-name()='size']"),
            length.to_string()
        );
        assert_eq!(
            attribute("'File']/@*[local-name()='href']"),
            "node-1-disk1.vmdk"
        );
        assert_eq!(
            attribute("'Disk']/@*[local-name()='capacity']"),
            size.to_string()
        );
    }
}

#[test]
fn members_are_in_order_and_plain() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node-1.ova");
    let image = image(3 << 20, vec![(0, vec![1])]);
    fs_err::write(&file, bytes(&image, &appliance(Firmware::Efi))).unwrap();
    let list = tar(&["-tv", "--numeric-owner"], &file);
    let words: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for (member, name) in words
        .iter()
        .zip(["node-1.ovf", "node-1.mf", "node-1-disk1.vmdk"])
    {
        let [mode, owner, _, day, time, found] = member[..] else {
            panic!("{member:?}")
        };
        assert_eq!(
            [mode, owner, day, time],
            ["-rw-r--r--", "0/0", "2026-11-20", "12:00"]
        );
        assert_eq!(found, name);
    }
    assert_eq!(words.len(), 3, "{list}");
}

#[test]
fn the_machine_is_the_one_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node-1.ova");
    let image = image(3 << 20, vec![(0, vec![1])]);
    for (firmware, vmware, virtualbox) in [
        (Firmware::Efi, "efi", "EFI"),
        (Firmware::Bios, "bios", "BIOS"),
    ] {
        fs_err::write(&file, bytes(&image, &appliance(firmware))).unwrap();
        tar(&["-x"], &file);
        let ovf = dir.path().join("node-1.ovf");
        let item = |kind: u8| {
            let item = format!("//*[local-name()='Item'][*[local-name()='ResourceType']={kind}]");
            xpath(
                &ovf,
                &format!("string({item}/*[local-name()='VirtualQuantity'])"),
            )
        };
        assert_eq!([item(3), item(4)], ["2", "1024"]);
        let config = "//*[local-name()='Config'][@*[local-name()='key']='firmware']";
        let value = format!("string({config}/@*[local-name()='value'])");
        assert_eq!(xpath(&ovf, &value), vmware);
        let value = "string(//*[local-name()='Firmware']/@type)";
        assert_eq!(xpath(&ovf, value), virtualbox);
        // VirtualBox finds the disk of its section by this id.
        let disk = xpath(
            &ovf,
            "string(//*[local-name()='Disk']/@*[local-name()='uuid'])",
        );
        let image = xpath(&ovf, "string(//*[local-name()='Image']/@uuid)");
        assert_eq!(image, format!("{{{disk}}}"));
    }
}

#[test]
fn the_bytes_are_pinned() {
    let whole = same_on_any_threads(|| bytes(&mixed(), &appliance(Firmware::Efi)));
    insta::assert_snapshot!(whole, @"52a254303b37829e06583259d6d56990c74e5ec9b972087f60ac91132c402dd4");
}

#[test]
fn a_name_without_room_for_the_members_is_refused() {
    let name = "x".repeat(95).parse().unwrap();
    let appliance = Appliance {
        name,
        ..appliance(Firmware::Efi)
    };
    let error = write(&mixed(), &appliance, &mut Cursor::new(Vec::new())).unwrap_err();
    assert!(matches!(error, WriteError::Name(_)), "{error}");
}
