//! Writing images to cards and disks so that what is on them can be trusted.
//!
//! [`host`] knows this machine's disks and which of them must not be touched; [`content`] is
//! what is written: a node's disk, put together in memory, or an image's file; [`layout`] says
//! what else must happen to the medium, [`write`] in which order; [`device`] is the medium,
//! [`far`] finds out whether it is as large as it says.

pub(crate) mod content;
pub(crate) mod device;
mod far;
pub(crate) mod host;
mod layout;
mod target;
mod write;

use crate::error::{CommandError, Failure, OrFail, Result};
use content::Content;
use device::{Device, DeviceError};
use host::{Found, Host, Refusal};
use imgbuild_base::Events;
use layout::Layout;
use std::path::{Path, PathBuf};
use std::time::Instant;
use target::Target;

/// A medium that was written and read back.
#[derive(Debug)]
pub(crate) struct Flashed {
    /// The device.
    pub(crate) device: PathBuf,
    /// How many bytes were written.
    pub(crate) written: u64,
    /// How long it took, reading back included.
    pub(crate) seconds: f64,
}

/// Refuses a device that an image of this content must not be written to.
pub(crate) fn check(host: &Host, path: &Path, content: &dyn Content, fixed: bool) -> Result<Found> {
    let found = host.find(path).or_fail(Failure::Device)?;
    let refused = |text: String| {
        let text = format!("{} is not written to: {text}", path.display());
        Err(CommandError::msg(Failure::Device, text))
    };
    match &found {
        Found::Partition(disk) => {
            let text = format!("it is a partition of {}", disk.display());
            return refused(text).map_err(|error| error.hint("give the whole disk"));
        }
        Found::Backing(device) => {
            return refused(format!("/dev/{device} is made of it"));
        }
        Found::Disk(disk) => {
            if let Some(refusal) = disk.refusal(content.size(), fixed) {
                return refused(refusal.to_string()).map_err(|error| {
                    error
                        .hint("`imgbuild flash NAME NODE` without a device lists those that can be")
                });
            }
        }
        Found::Neither => {
            return refused("it is neither a block device nor a file".to_owned())
                .map_err(|error| error.hint("give a whole disk, such as /dev/sdX, or a file"));
        }
        Found::File(size) => {
            let (has, needed) = (*size, content.size());
            if has < needed {
                return refused(Refusal::TooSmall { has, needed }.to_string());
            }
        }
    }
    Ok(found)
}

/// Writes content to a device and reads it back.
pub(crate) fn flash(path: &Path, content: &dyn Content, events: &Events) -> Result<Flashed> {
    let started = Instant::now();
    let mut device = Device::open(path).map_err(|error| {
        let hint = match error {
            DeviceError::Busy => "unmount it; `lsblk` shows what is mounted",
            DeviceError::Locked => "wait for the other flash to end",
            DeviceError::Io(_) => "writing to a device needs root's rights: use sudo",
        };
        CommandError::new(Failure::Device, &error)
            .context(format!("opening {}", path.display()))
            .hint(hint)
    })?;
    let layout = Layout::new(content, device.size()).or_fail(Failure::Verify)?;
    let written = write::write(&mut device, content, &layout, events).map_err(|error| {
        CommandError::new(Failure::Device, &error)
            .context(format!("flashing {}", path.display()))
            .hint(
                "nothing starts from it as it is: flash it again, and if that fails at the same \
                 place take another one",
            )
    })?;
    Ok(Flashed {
        device: path.to_owned(),
        written,
        seconds: started.elapsed().as_secs_f64(),
    })
}
