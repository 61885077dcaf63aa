//! `imgbuild pki`: when certificates end, and further client certificates.

use super::args::{PkiArgs, PkiCommand};
use crate::authority;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::messages::{self, Message};
use crate::output::{make_private_dir, put_file};
use crate::pipeline::source_date_epoch;
use crate::project::{self, Project};
use crate::summary::date;
use crate::terminal::{Terminal, table};
use imgbuild_base::Epoch;
use imgbuild_cluster::{ClientRequest, Composer, Sources};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs `imgbuild pki`.
pub(crate) fn pki(terminal: &Terminal, args: &PkiArgs) -> Result<()> {
    let project = Project::find(&args.name, terminal.color())?;
    let lock = project.matching_lock()?;
    let epoch = source_date_epoch()?.unwrap_or(lock.epoch);
    let path = args.secret.clone().unwrap_or_else(|| project.secret_path());
    let secret = project::existing_secret(&path)?;
    // No certificate is made of files beside the recipe.
    let sources = Sources::default();
    let composer = authority::composer(&project, &args.authority, &secret, epoch, &sources)?;
    match &args.command {
        None => show(terminal, &project, &composer),
        Some(PkiCommand::Client {
            common_name,
            organisation,
            days,
            out,
        }) => {
            let wanted = ClientRequest {
                common_name,
                organisation: organisation.as_deref(),
                days: *days,
            };
            let out = out.clone();
            let out = out.unwrap_or_else(|| project.out_path().join("clients"));
            client(terminal, &composer, &wanted, &out)
        }
    }
}

/// This machine's time, which only says what has ended.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn days_left(until: Epoch) -> i64 {
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    (signed(until.seconds()) - signed(now())).div_euclid(86_400)
}

fn show(terminal: &Terminal, project: &Project, composer: &Composer<'_>) -> Result<()> {
    let row = |place: &str, file: String, certificate: &imgbuild_pki::Certificate| {
        let validity = certificate.validity();
        messages::pki::Certificate {
            place: place.to_owned(),
            file,
            subject: certificate.subject().to_owned(),
            from: validity.not_before().seconds(),
            until: validity.not_after().seconds(),
            days_left: days_left(validity.not_after()),
        }
    };
    let mut rows = vec![row("CA", String::new(), composer.authority().certificate())];
    let admin = composer.admin().or_fail(Failure::Other)?;
    let nodes = project.recipe.nodes.iter();
    let trees = nodes.map(|node| {
        let tree = composer.certificates(node).or_fail(Failure::Other)?;
        Ok((node.name.to_string(), "/", tree))
    });
    for found in std::iter::once(Ok(("admin".to_owned(), "", admin))).chain(trees) {
        let (place, root, tree) = found?;
        for (path, certificate) in imgbuild_cluster::leaves(&tree, composer.authority()) {
            let certificate = certificate.or_fail(Failure::Other)?;
            rows.push(row(&place, format!("{root}{path}"), &certificate));
        }
    }
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let until = u32::try_from(row.until).map_or(Epoch::ZERO, Epoch::from_u32);
            let left = match row.days_left {
                days @ 0.. => format!("{days} days"),
                _ => "ended".to_owned(),
            };
            vec![
                row.place.clone(),
                row.file.clone(),
                row.subject.clone(),
                date(until),
                left,
            ]
        })
        .collect();
    let head = ["of", "file", "subject", "valid until", "left"];
    terminal.result(&table(&head, &lines));
    terminal.message(&Message::Pki(rows));
    Ok(())
}

fn client(
    terminal: &Terminal,
    composer: &Composer<'_>,
    wanted: &ClientRequest<'_>,
    out: &Path,
) -> Result<()> {
    let issued = composer.client(wanted).or_fail(Failure::Other)?;
    let until = issued.certificate.validity().not_after();
    let name = file_name(wanted.common_name)?;
    if days_left(until) < 0 {
        terminal.events().warn(format!(
            "the certificate has ended on {}: it holds from the lock's time on; give more --days, or \
             run `imgbuild lock --renew`",
            date(until)
        ));
    }
    let files = [
        (
            "ca.crt".to_owned(),
            composer.authority().certificate().pem().to_owned(),
        ),
        (format!("{name}.crt"), issued.pem()),
        (format!("{name}.key"), issued.key.expose().to_owned()),
    ];
    make_private_dir(out).or_fail(Failure::Storage)?;
    for (file, text) in &files {
        put_file(out, file, text.as_bytes(), 0o600).or_fail(Failure::Storage)?;
    }
    let [ca, cert, key] = files.map(|(file, _)| out.join(file));
    terminal.result(&format!(
        "{} is valid until {}\n  --cacert={} --cert={} --key={}",
        issued.certificate.subject(),
        date(until),
        ca.display(),
        cert.display(),
        key.display()
    ));
    terminal.message(&Message::PkiClient(messages::pki::Client {
        subject: issued.certificate.subject().to_owned(),
        until: until.seconds(),
        ca,
        cert,
        key,
    }));
    Ok(())
}

/// The name of a client's files: its common name, with `-` for what is unusual in file names.
fn file_name(common_name: &str) -> Result<String> {
    let name: String = common_name
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '-',
        })
        .collect();
    if name.is_empty() || name.starts_with('.') || name == "ca" {
        let text = format!("{common_name:?} cannot name a client's files");
        return Err(CommandError::msg(Failure::Other, text)
            .hint("give a name of letters and digits, such as prometheus"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_name_files() {
        let name = |text: &str| file_name(text).ok();
        assert_eq!(name("system:node:e1").as_deref(), Some("system-node-e1"));
        for bad in ["", ".x", "ca"] {
            assert_eq!(name(bad), None, "{bad}");
        }
        assert_eq!(name("../x"), None);
        assert_eq!(name("a/../b").as_deref(), Some("a-..-b"));
    }
}
