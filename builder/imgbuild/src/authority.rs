//! The authority that signs: derived from the cluster's secret, or the user's own, which is read
//! from where it is and copied nowhere.

use crate::cli::args::AuthorityArgs;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::project::Project;
use imgbuild_base::Epoch;
use imgbuild_cluster::{Composer, Sources};
use imgbuild_pki::{Authority, ClusterSecret};
use imgbuild_recipe::resolved::PkiAuthority;
use std::path::PathBuf;

/// The files of an authority of the user's.
struct OwnFiles {
    cert: PathBuf,
    key: PathBuf,
}

/// Where the user's own authority is, if there is one: the flags count more than the recipe.
fn own_files(project: &Project, args: &AuthorityArgs) -> Result<Option<OwnFiles>> {
    let (cert, key) = match &project.recipe.pki.authority {
        PkiAuthority::Derived { .. } => (None, None),
        PkiAuthority::Own { cert, key } => (
            Some(project.beside(cert.as_str())),
            key.as_ref().map(|key| project.beside(key.as_str())),
        ),
    };
    let missing = |what: &str, flag: &str| {
        CommandError::msg(
            Failure::Recipe,
            format!("{what} of your own CA is not given"),
        )
        .hint(format!(
            "give it with {flag} FILE, or in the recipe's [pki]"
        ))
    };
    match (args.ca_cert.clone().or(cert), args.ca_key.clone().or(key)) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(OwnFiles { cert, key })),
        (Some(_), None) => Err(missing("the key", "--ca-key")),
        (None, Some(_)) => Err(missing("the certificate", "--ca-cert")),
    }
}

/// The composer of the project's cluster, with the authority that the recipe and `args` say.
pub(crate) fn composer<'a>(
    project: &'a Project,
    args: &AuthorityArgs,
    secret: &'a ClusterSecret,
    epoch: Epoch,
    sources: &'a Sources,
) -> Result<Composer<'a>> {
    let recipe = &project.recipe;
    let Some(files) = own_files(project, args)? else {
        return Composer::new(recipe, secret, epoch, sources).or_fail(Failure::Other);
    };
    let cert = fs_err::read_to_string(&files.cert).or_fail(Failure::Recipe)?;
    // Wiped when it is dropped: this is the one key that is not derived.
    let key = zeroize::Zeroizing::new(fs_err::read_to_string(&files.key).or_fail(Failure::Recipe)?);
    let authority = Authority::bring(&cert, &key, epoch).map_err(|error| {
        CommandError::new(Failure::Recipe, &error).context(format!(
            "reading your own CA, {} and {}",
            files.cert.display(),
            files.key.display()
        ))
    })?;
    Ok(Composer::with_authority(
        recipe, secret, epoch, sources, authority,
    ))
}
