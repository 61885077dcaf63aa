//! A shell script that makes network, disks and machines from a build's output.

use super::{Cluster, MEMORY, machine};
use std::fmt::Write as _;

/// The script. Names are made of letters, digits, `-` and `.` only: nothing needs quoting.
pub(super) fn text(cluster: &Cluster<'_>) -> String {
    let name = cluster.name;
    let mut text = format!(
        r#"#!/bin/sh
# Starts the cluster {name} on libvirt: makes its network, copies the images into a storage
# pool and installs a machine from each. To connect elsewhere set LIBVIRT_DEFAULT_URI.
#   sh virt-install.sh [POOL]
set -eu
pool=${{1:-default}}
cd "$(dirname "$0")"

virsh net-info {name} >/dev/null 2>&1 || virsh net-define network.xml
virsh net-list --name | grep -qxF {name} || virsh net-start {name}

# A copy of ../$1 in the pool, as $2.
volume() {{
    virsh vol-info --pool "$pool" "$2" >/dev/null 2>&1 && {{
        echo "$2 is in the pool $pool already and stays as it is"
        return
    }}
    virsh vol-create-as "$pool" "$2" "$(stat -c %s "../$1")" --format raw
    virsh vol-upload --pool "$pool" "$2" "../$1"
}}
"#
    );
    // Writing to a string cannot fail.
    for base in &cluster.bases {
        let _ = writeln!(text, "volume {base} {base}");
    }
    for guest in &cluster.guests {
        let _ = writeln!(text, "volume {} {}", guest.image, guest.volume(cluster));
    }
    // What was uploaded is recognised by looking at it again.
    text.push_str("virsh pool-refresh \"$pool\"\n");
    let (arch, machine) = machine(cluster.recipe.image.arch);
    for guest in &cluster.guests {
        let _ = write!(
            text,
            r#"
virt-install --name {guest} --import --noautoconsole \
    --arch {arch} --machine {machine} --memory {MEMORY} --vcpus 1 --osinfo generic \
    --boot firmware=efi,firmware.feature0.enabled=no,firmware.feature0.name=secure-boot \
    --disk "vol=$pool/{volume},bus=virtio,driver.type={driver}" \
    --network network={name},model=virtio,mac={mac} \
    --rng /dev/urandom --graphics none --console pty
"#,
            guest = guest.name,
            volume = guest.volume(cluster),
            driver = cluster.driver,
            mac = guest.mac,
        );
    }
    text
}
