//! `etcd.service`, from the template `overlays/etcd/etcd.service`.

use crate::ComposeError;
use crate::config::Rendered;
use crate::layer::plain;
use crate::template::{Template, overlay};
use imgbuild_base::Arch;
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::Node;
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
    if let Some(file) = &config.environment_file {
        environment.push(format!("EnvironmentFile={file}"));
    }
    let data = &recipe.etcd.data_dir;
    if !data.is_within("var") || data.as_str() == "var" {
        return Err(ComposeError::DataDirectory(data.clone()));
    }
    let program = plain(
        &recipe.etcd.bin_dir.join("etcd")?,
        "the directory of etcd's binaries",
    )?;
    let mut exec = vec![program];
    exec.extend(config.arguments.iter().cloned());
    TEMPLATE.render(context! {
        name => node.name.as_str(),
        cluster => recipe.cluster.name.as_str(),
        environment,
        exec => exec.join(" \\\n    "),
        data_dir => plain(data, "the data directory")?,
        state_directory => data.as_str().strip_prefix("var/lib/"),
    })
}
