//! `imgbuild release` and `imgbuild verify`.

use super::args::{BuildArgs, GlobalArgs, ReleaseArgs, VerifyArgs};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::messages::{self, Message};
use crate::pipeline;
use crate::project::Project;
use crate::release::{self, Released};
use crate::terminal::{Terminal, table};
use crate::verify::{self, Verified};
use imgbuild_base::ByteSize;
use imgbuild_recipe::resolved::Format;
use imgbuild_release::PublicKey;
use imgbuild_release::sign::{KeyError, SigningKey};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where the passphrase of a signing key is looked for.
const PASSPHRASE: &str = "IMGBUILD_SIGN_PASSPHRASE";

/// Runs `imgbuild release`.
pub(crate) fn release(terminal: &Terminal, global: &GlobalArgs, args: &ReleaseArgs) -> Result<()> {
    // A key that cannot be used is told before anything is built.
    let key = args.sign_key.as_deref();
    let key = key
        .map(|file| signing_key(file, args.sign_passphrase.as_deref()))
        .transpose()?;
    let events = terminal.events();
    let project = Project::find(&args.name, terminal.color())?;
    for warning in &project.recipe.warnings {
        events.warn(warning.to_string());
    }
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| Path::new("releases").join(project.name()));
    let build = match args.with_secrets {
        true => {
            let own = BuildArgs {
                secret: args.secret.clone(),
                authority: args.authority.clone(),
                ..BuildArgs::default()
            };
            let mut build = pipeline::Request::new(project, global, &own, events)?;
            build.formats = [Format::Img].into();
            build
        }
        false => pipeline::Request::without_secrets(project, global, events)?,
    };
    let released = release::release(&release::Request {
        build,
        out,
        secrets: args.with_secrets,
        packing: args.packing.into(),
        key,
    })?;
    terminal.message(&Message::Release(released.message()));
    terminal.summary(&released.table());
    Ok(())
}

fn signing_key(file: &Path, passphrase: Option<&Path>) -> Result<SigningKey> {
    let about =
        |error: CommandError| error.context(format!("reading the signing key {}", file.display()));
    let text = fs_err::read_to_string(file).map(Zeroizing::new);
    let text = text.or_fail(Failure::Other).map_err(about)?;
    let passphrase = match passphrase {
        Some(file) => Some(fs_err::read_to_string(file).or_fail(Failure::Other)?),
        None => std::env::var(PASSPHRASE).ok(),
    };
    let passphrase = passphrase.map(Zeroizing::new);
    let line = passphrase
        .as_deref()
        .map(|text| text.trim_end_matches('\n'));
    SigningKey::read(&text, line).map_err(|error| {
        let failed = about(CommandError::new(Failure::Other, &error));
        match error {
            KeyError::Passphrase => failed.hint(format!(
                "give its passphrase in {PASSPHRASE} or with --sign-passphrase FILE"
            )),
            _ => failed.hint("`minisign -G` makes a pair of keys"),
        }
    })
}

impl Released {
    fn message(&self) -> messages::release::Release {
        let files = self.files.iter().map(|file| messages::release::File {
            path: file.path.to_string(),
            size: file.size,
            sha256: file.sha256.to_string(),
        });
        messages::release::Release {
            name: self.manifest.name.to_string(),
            path: self.path.clone(),
            files: files.collect(),
            key: self.key.as_ref().map(|(_, line)| line.clone()),
        }
    }

    fn table(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .files
            .iter()
            .map(|file| {
                vec![
                    file.path.to_string(),
                    ByteSize::bytes(file.size).to_string(),
                ]
            })
            .collect();
        let total = ByteSize::bytes(self.files.iter().map(|file| file.size).sum());
        let signed = match &self.key {
            Some((id, line)) => format!("signed with the key {id}; who checks it needs {line}"),
            None => {
                "not signed: its sums tell damage, not forgery (--sign-key FILE signs)".to_owned()
            }
        };
        let secret = match self.manifest.images.iter().any(|image| image.secret) {
            true => "files with SECRET in their names hold private keys: do not publish them\n",
            false => "",
        };
        let path = self.path.display();
        let check = match &self.key {
            Some((_, line)) => format!("imgbuild verify {path} --key {line}"),
            None => format!("imgbuild verify {path}"),
        };
        format!(
            "\n{}\n\n{path}: {total}\n{signed}\n{secret}next: {check}",
            table(&["file", "size"], &rows)
        )
    }
}

/// Runs `imgbuild verify`.
pub(crate) fn verify(terminal: &Terminal, global: &GlobalArgs, args: &VerifyArgs) -> Result<()> {
    let key = args.key.as_deref().map(public_key).transpose()?;
    let verified = verify::verify(&verify::Request {
        place: &args.place,
        key,
        rebuild: args.rebuild,
        global,
        color: terminal.color(),
        events: terminal.events(),
    })?;
    terminal.message(&Message::Verify(verified.message()));
    terminal.summary(&verified.text());
    Ok(())
}

/// A public key: a file of minisign's, or the key itself.
fn public_key(text: &str) -> Result<PublicKey> {
    let file = PathBuf::from(text);
    let content = match file.is_file() {
        true => fs_err::read_to_string(&file).or_fail(Failure::Other)?,
        false => text.to_owned(),
    };
    PublicKey::read(&content).map_err(|error| {
        CommandError::new(Failure::Other, &error)
            .context(format!("reading the key {text:?}"))
            .hint("give minisign's .pub file, or the second line of it")
    })
}

impl Verified {
    fn message(&self) -> messages::release::Verify {
        messages::release::Verify {
            name: self.name.clone(),
            files: self.files,
            images: self.images,
            signed_by: self.signed_by.clone(),
            rebuilt: self.rebuilt,
        }
    }

    fn text(&self) -> String {
        let signature = match &self.signed_by {
            Some(id) => format!("signed by the key {id}"),
            None => "the signature was not checked: no key was given".to_owned(),
        };
        let rebuilt = match self.rebuilt {
            true => "\nbuilt again from its recipe and lock: the same to the bit",
            false => "",
        };
        format!(
            "{}: {} files and {} images are what the release says\n{signature}{rebuilt}",
            self.name, self.files, self.images
        )
    }
}
