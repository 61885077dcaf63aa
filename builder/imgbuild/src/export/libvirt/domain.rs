//! A node's machine (libvirt's `formatdomain`).

use super::{Cluster, Guest, MEMORY, POOL, machine};

/// The domain: UEFI firmware of libvirt's choice with Secure Boot off, since the kernel is not
/// signed; disk and network by virtio; a serial console and no screen.
pub(super) fn xml(cluster: &Cluster<'_>, guest: &Guest<'_>) -> String {
    let (arch, machine) = machine(cluster.recipe.image.arch);
    format!(
        r#"<domain type="kvm">
  <name>{name}</name>
  <memory unit="MiB">{MEMORY}</memory>
  <vcpu>1</vcpu>
  <os firmware="efi">
    <type arch="{arch}" machine="{machine}">hvm</type>
    <firmware>
      <feature enabled="no" name="secure-boot"/>
    </firmware>
    <boot dev="hd"/>
  </os>
  <features>
    <acpi/>
  </features>
  <cpu mode="maximum"/>
  <clock offset="utc"/>
  <devices>
    <disk type="volume" device="disk">
      <driver name="qemu" type="{driver}" discard="unmap"/>
      <source pool="{POOL}" volume="{volume}"/>
      <target dev="vda" bus="virtio"/>
    </disk>
    <interface type="network">
      <mac address="{mac}"/>
      <source network="{network}"/>
      <model type="virtio"/>
    </interface>
    <console type="pty"/>
    <rng model="virtio">
      <backend model="random">/dev/urandom</backend>
    </rng>
  </devices>
</domain>
"#,
        name = guest.name,
        driver = cluster.driver,
        volume = guest.volume(cluster),
        mac = guest.mac,
        network = cluster.name,
    )
}
