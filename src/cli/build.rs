//! `evenkeel build`: builds the images that a lab needs from the source tree, without Docker, and pushes them to a registry.

use std::path::PathBuf;

use serde::Serialize;

use super::context::CommandContext;
use super::output;
use crate::cli::error::Error;
use crate::image::{Image, ImageSources, Push, PushedImage, Repository, build_agent, build_pause, build_server, push};
use crate::report::{Align, plain_table};

/// The schema version of the JSON output.
const SCHEMA_VERSION: u32 = 1;
/// The image that `deploy --image` takes.
const DEPLOYED: &str = "server";

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Push the images to this repository of a registry, by their digests
    #[arg(long, value_name = "REGISTRY/REPOSITORY")]
    pub push: Option<Repository>,
    /// Archive with one of these images for another architecture, to push under the same name; may be repeated
    #[arg(long = "archive", value_name = "FILE", requires = "push")]
    pub archives: Vec<PathBuf>,
}

/// The JSON output of a build.
#[derive(Serialize)]
struct BuildOutput {
    schema_version: u32,
    server: Image,
    pause: Image,
    agent: Image,
}

/// The JSON output of a push.
#[derive(Serialize)]
struct PushOutput {
    schema_version: u32,
    pushed: Vec<PushedImage>,
}

impl Args {
    /// Builds all images into the cache, and prints their references, sizes and archives; or pushes them, and prints what
    /// manifests name.
    ///
    /// # Errors
    /// [`ImageError::BuildFailed`](crate::image::ImageError::BuildFailed) or
    /// [`ImageError::Program`](crate::image::ImageError::Program) if an image cannot be built;
    /// [`ImageError::BadImage`](crate::image::ImageError::BadImage) if the archive that an environment variable
    /// names is not an image; those of [`push`].
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        match &self.push {
            Some(repository) => self.push(repository, context).await,
            None => build(context).await,
        }
    }

    async fn push(&self, repository: &Repository, context: &CommandContext) -> Result<(), Error> {
        let CommandContext { paths, progress, shutdown, .. } = context;
        let sources = ImageSources::of_caller(&paths.cache);
        let request = Push { repository, archives: &self.archives, cache: &paths.cache, sources: &sources };
        let pushed = push(&request, progress, shutdown).await?;
        if context.json {
            return Ok(output::json(&PushOutput { schema_version: SCHEMA_VERSION, pushed })?);
        }
        Ok(output::text(&(pushed_table(&pushed) + &next(&pushed, &context.evenkeel())))?)
    }
}

async fn build(context: &CommandContext) -> Result<(), Error> {
    let CommandContext { paths, progress, shutdown, .. } = context;
    let server = build_server(&paths.cache, progress, shutdown).await?;
    let pause = build_pause(&paths.cache, progress, shutdown).await?;
    let agent = build_agent(&paths.cache, progress, shutdown).await?;
    if context.json {
        Ok(output::json(&BuildOutput { schema_version: SCHEMA_VERSION, server, pause, agent })?)
    } else {
        Ok(output::text(&table(&[server, pause, agent]))?)
    }
}

fn table(images: &[Image]) -> String {
    let row = |image: &Image| {
        let size = format!("{:.2} MB", image.megabytes());
        vec![image.reference.clone(), size, image.archive.display().to_string()]
    };
    let rows: Vec<_> = images.iter().map(row).collect();
    plain_table(Align::Left, &["IMAGE", "SIZE", "ARCHIVE"], &rows)
}

#[allow(clippy::cast_precision_loss, reason = "no image is so large that it loses digits")]
fn pushed_table(images: &[PushedImage]) -> String {
    let row = |image: &PushedImage| {
        let sent = format!("{:.2} MB", image.bytes_sent as f64 / 1e6);
        let sent = if image.already_there { "already there".to_owned() } else { sent };
        vec![image.name.clone(), image.platforms.join(","), sent, image.reference.clone()]
    };
    let rows: Vec<_> = images.iter().map(row).collect();
    plain_table(Align::Left, &["IMAGE", "PLATFORMS", "SENT", "REFERENCE"], &rows)
}

/// The command that uses what was pushed.
fn next(pushed: &[PushedImage], evenkeel: &str) -> String {
    let deployed = pushed.iter().find(|image| image.name == DEPLOYED);
    deployed.map(|image| format!("\nTo deploy it: {evenkeel} deploy --image {}\n", image.reference)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_reference_size_and_archive() {
        let image = Image {
            archive: "/cache/images/0123456789ab.tar".into(),
            reference: "evenkeel.local/server:0123456789ab".into(),
            digest: "sha256:0123456789ab".into(),
            bytes: 1_856_512,
            import_bytes: 3_700_000,
            names: Vec::new(),
            normalised: None,
        };
        let expected = "\
IMAGE                                SIZE      ARCHIVE
evenkeel.local/server:0123456789ab   1.86 MB   /cache/images/0123456789ab.tar
";
        assert_eq!(table(&[image]), expected);
    }

    #[test]
    fn what_was_pushed_is_shown_with_the_next_command() {
        let image = |name: &str, platforms: &[&str], bytes_sent| PushedImage {
            name: name.into(),
            reference: format!("localhost:5000/lab@sha256:{name}"),
            digest: format!("sha256:{name}"),
            tag: format!("{name}-0123"),
            platforms: platforms.iter().map(ToString::to_string).collect(),
            already_there: bytes_sent == 0,
            bytes_sent,
        };
        let pushed = [image("server", &["linux/amd64", "linux/arm64"], 3_714_000), image("pause", &["linux/amd64"], 0)];
        let expected = "\
IMAGE    PLATFORMS                 SENT            REFERENCE
server   linux/amd64,linux/arm64   3.71 MB         localhost:5000/lab@sha256:server
pause    linux/amd64               already there   localhost:5000/lab@sha256:pause

To deploy it: evenkeel --name a deploy --image localhost:5000/lab@sha256:server
";
        assert_eq!(pushed_table(&pushed) + &next(&pushed, "evenkeel --name a"), expected);
    }
}
