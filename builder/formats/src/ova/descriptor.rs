//! The descriptor: XML made of numbers, ids and [`FileName`]s only, none of which needs
//! escaping.

use super::{Appliance, Firmware};
use crate::FileName;
use crate::gpt::Guid;
use imgbuild_base::ByteSize;

/// What the descriptor says about the disk's file.
pub(super) struct DiskFile<'a> {
    pub(super) name: &'a FileName,
    /// Bytes of the file.
    pub(super) length: u64,
    /// Bytes of the disk in it.
    pub(super) capacity: ByteSize,
}

/// The descriptor's text.
///
/// Its devices are those that both sides have and the image's kernel knows: SATA (AHCI), and a
/// vmxnet3 card, in whose place VirtualBox puts its virtio card. VirtualBox learns of EFI from
/// its own section only, which the others may skip.
pub(super) fn descriptor(appliance: &Appliance, disk: &DiskFile<'_>) -> String {
    let Appliance {
        name,
        cpus,
        memory_mib,
        firmware,
        disk: digest,
        made: _,
    } = appliance;
    let DiskFile {
        name: file,
        length,
        capacity,
    } = disk;
    let capacity = capacity.get();
    let machine_id = Guid::derived("virtual machine", *digest);
    let disk_id = Guid::derived("virtual disk", *digest);
    let (vmware, virtualbox) = match firmware {
        Firmware::Bios => ("bios", "BIOS"),
        Firmware::Efi => ("efi", "EFI"),
    };
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope
    xmlns="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
    xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
    xmlns:vmw="http://www.vmware.com/schema/ovf"
    xmlns:vbox="http://www.virtualbox.org/ovf/machine">
  <References>
    <File ovf:href="{file}" ovf:id="file1" ovf:size="{length}"/>
  </References>
  <DiskSection>
    <Info>The disks</Info>
    <Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" vbox:uuid="{disk_id}"/>
  </DiskSection>
  <NetworkSection>
    <Info>The networks</Info>
    <Network ovf:name="VM Network">
      <Description>The network in which the node has its address</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A virtual machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="96" vmw:osType="debian10_64Guest">
      <Info>The operating system</Info>
      <Description>Debian GNU/Linux, 64-bit</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>The hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-14</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>
        <rasd:Description>Processors</rasd:Description>
        <rasd:ElementName>Processors: {cpus}</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>{cpus}</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:Description>Memory</rasd:Description>
        <rasd:ElementName>Memory: {memory_mib} MiB</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>{memory_mib}</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:Description>SATA controller</rasd:Description>
        <rasd:ElementName>SATA controller 0</rasd:ElementName>
        <rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>vmware.sata.ahci</rasd:ResourceSubType>
        <rasd:ResourceType>20</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:ElementName>Hard disk 1</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource>
        <rasd:InstanceID>4</rasd:InstanceID>
        <rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>1</rasd:AddressOnParent>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Connection>VM Network</rasd:Connection>
        <rasd:ElementName>Network adapter 1</rasd:ElementName>
        <rasd:InstanceID>5</rasd:InstanceID>
        <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType>
        <rasd:ResourceType>10</rasd:ResourceType>
      </Item>
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="{vmware}"/>
      <vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="false"/>
    </VirtualHardwareSection>
    <vbox:Machine ovf:required="false" uuid="{{{machine_id}}}" name="{name}" OSType="Debian_64">
      <ovf:Info>The machine as VirtualBox sees it</ovf:Info>
      <Hardware>
        <CPU count="{cpus}"/>
        <Memory RAMSize="{memory_mib}"/>
        <Firmware type="{virtualbox}"/>
        <BIOS>
          <IOAPIC enabled="true"/>
        </BIOS>
        <Network>
          <Adapter slot="0" enabled="true" type="virtio">
            <NAT/>
          </Adapter>
        </Network>
      </Hardware>
      <StorageControllers>
        <StorageController name="SATA" type="AHCI" PortCount="1" useHostIOCache="false" Bootable="true">
          <AttachedDevice type="HardDisk" hotpluggable="false" port="0" device="0">
            <Image uuid="{{{disk_id}}}"/>
          </AttachedDevice>
        </StorageController>
      </StorageControllers>
    </vbox:Machine>
  </VirtualSystem>
</Envelope>
"#
    )
}
