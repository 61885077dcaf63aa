//! The passphrases of wireless networks: read when images are built, kept nowhere.

use crate::error::{CommandError, Failure, Result};
use crate::project::Project;
use imgbuild_cluster::{Passphrase, Passphrases};
use imgbuild_recipe::resolved::{Node, PassphraseSource};

/// The passphrases that the layers of these nodes need.
pub(crate) fn read(project: &Project, nodes: &[&Node]) -> Result<Passphrases> {
    let mut read = Passphrases::new();
    for wifi in nodes.iter().filter_map(|node| node.network.wifi.as_ref()) {
        let source = &wifi.passphrase;
        if !read.contains_key(source) {
            read.insert(source.clone(), read_one(project, source)?);
        }
    }
    Ok(read)
}

fn read_one(project: &Project, source: &PassphraseSource) -> Result<Passphrase> {
    let (text, place) = match source {
        PassphraseSource::File(file) => {
            let path = project.beside(&file.as_path().to_string_lossy());
            let text = fs_err::read_to_string(&path).map_err(|error| {
                CommandError::new(Failure::Recipe, &error)
                    .context("reading the passphrase of the wireless network")
                    .hint(
                        "write the passphrase into that file, readable by you only, or name \
                         another with `passphrase_file` in [network.wifi]",
                    )
            })?;
            (text, path.display().to_string())
        }
        PassphraseSource::Environment(name) => {
            let text = std::env::var(name.as_str()).map_err(|_| {
                let text = format!(
                    "the environment variable {name}, which is to hold the passphrase of the \
                     wireless network, is not set to a text"
                );
                CommandError::msg(Failure::Recipe, text)
                    .hint("set it, or name a file with `passphrase_file` in [network.wifi]")
            })?;
            (text, format!("the environment variable {name}"))
        }
    };
    Passphrase::new(&text).map_err(|why| {
        let text = format!("{place} does not hold the passphrase of a wireless network: {why}");
        CommandError::msg(Failure::Recipe, text)
            .hint("a passphrase is 8 to 63 printable characters, on one line")
    })
}
