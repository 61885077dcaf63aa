//! What the kernel is told once it runs: modules to load and never to load, settings. Its
//! command line is not here: it is on the boot partition.

use crate::ComposeError;
use crate::layer::Layer;
use imgbuild_recipe::resolved::Kernel;

/// The settings, behind all of Debian's and the builder's (sysctl.d(5)).
const SETTINGS: &str = "etc/sysctl.d/90-recipe.conf";
/// The modules to load (modules-load.d(5)).
const LOAD: &str = "etc/modules-load.d/recipe.conf";
/// The modules never to load (modprobe.d(5)).
const NEVER: &str = "etc/modprobe.d/recipe.conf";

/// Adds the files to a node's layer.
pub(crate) fn add(layer: &mut Layer, kernel: &Kernel) -> Result<(), ComposeError> {
    let settings = kernel.sysctl.iter();
    put(
        layer,
        SETTINGS,
        settings.map(|(name, value)| format!("{name} = {value}\n")),
    )?;
    put(
        layer,
        LOAD,
        kernel.modules.iter().map(|name| format!("{name}\n")),
    )?;
    // `blacklist` keeps hardware from loading it, `install` everybody else.
    let never = kernel.blacklist.iter();
    put(
        layer,
        NEVER,
        never.map(|name| format!("blacklist {name}\ninstall {name} /usr/bin/false\n")),
    )
}

fn put(
    layer: &mut Layer,
    path: &str,
    lines: impl Iterator<Item = String>,
) -> Result<(), ComposeError> {
    let text: String = lines.collect();
    if text.is_empty() {
        return Ok(());
    }
    layer.text(path, text)
}
