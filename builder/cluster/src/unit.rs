//! `etcd.service`, from the template `overlays/etcd/etcd.service`.

use crate::ComposeError;
use crate::config::Rendered;
use crate::first_start;
use crate::layer::plain;
use crate::quote;
use crate::template::{Template, overlay};
use imgbuild_base::{Arch, TreePath};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Etcd, Node};
use minijinja::context;

const TEMPLATE: Template = overlay!("etcd/etcd.service");

/// The unit of `node`, whose settings are written as in `config`.
///
/// On 32-bit ARM it sets `ETCD_UNSUPPORTED_ARCH=arm`, without which upstream's etcd exits.
///
/// # Errors
/// [`ComposeError::Path`] when a path would need quoting, [`ComposeError::DataDirectory`]
/// when the data directory is not on the state partition.
pub fn unit(recipe: &Recipe, node: &Node, config: &Rendered) -> Result<String, ComposeError> {
    let mut environment = Vec::new();
    if recipe.image.arch == Arch::Armhf {
        environment.push("Environment=ETCD_UNSUPPORTED_ARCH=arm".to_owned());
    }
    for (name, value) in &node.tuning.environment {
        let assignment = quote::unit_assignment(name.as_str(), value.as_str());
        environment.push(format!("Environment={assignment}"));
    }
    if let Some(file) = &config.environment_file {
        environment.push(format!("EnvironmentFile=-{file}"));
    }
    let data = &node.etcd.data_dir;
    let mut states = Vec::new();
    let mut writable = Vec::new();
    for dir in directories(&node.etcd) {
        let path = kept(dir)?;
        match dir.as_str().strip_prefix("var/lib/") {
            Some(name) => states.push(name),
            None => writable.push(path),
        }
    }
    let program = plain(
        &node.etcd.bin_dir.join("etcd")?,
        "the directory of etcd's binaries",
    )?;
    let mut exec = vec![program];
    exec.extend(config.arguments.iter().map(|word| quote::unit_word(word)));
    TEMPLATE.render(context! {
        name => node.name.as_str(),
        cluster => recipe.cluster.name.as_str(),
        environment,
        environment_file => config.environment_file,
        guard => first_start::command(&node.etcd)?,
        exec => exec.join(" \\\n    "),
        data_dir => plain(data, "the data directory")?,
        state_directories => states.join(" "),
        writable => writable.join(" "),
    })
}

/// The directories that etcd writes to, none in another.
pub(crate) fn directories(etcd: &Etcd) -> impl Iterator<Item = &TreePath> {
    let data = &etcd.data_dir;
    let wal = etcd.wal_dir.as_ref();
    std::iter::once(data).chain(wal.filter(|dir| !dir.is_within(data.as_str())))
}

/// A directory of etcd's data as the running system sees it, which is on the state partition.
///
/// # Errors
/// [`ComposeError::DataDirectory`] when it is not, [`ComposeError::Path`] when it would need
/// quoting.
pub(crate) fn kept(dir: &TreePath) -> Result<String, ComposeError> {
    if !dir.is_within("var") || dir.as_str() == "var" {
        return Err(ComposeError::DataDirectory(dir.clone()));
    }
    plain(dir, "a directory of etcd's data")
}
