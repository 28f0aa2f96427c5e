//! `evenkeel build`: builds the images that a lab needs from the source tree, without Docker.

use serde::Serialize;

use super::context::CommandContext;
use super::output;
use crate::cli::error::Error;
use crate::image::{Image, build_pause, build_server};
use crate::report::{Align, plain_table};

/// The schema version of the JSON output.
const SCHEMA_VERSION: u32 = 1;

/// The JSON output.
#[derive(Serialize)]
struct BuildOutput {
    schema_version: u32,
    server: Image,
    pause: Image,
}

/// Builds both images into the cache, and prints their references, sizes and archives.
///
/// # Errors
/// [`ImageError::BuildFailed`](crate::image::ImageError::BuildFailed) or
/// [`ImageError::Program`](crate::image::ImageError::Program) if an image cannot be built;
/// [`ImageError::BadImage`](crate::image::ImageError::BadImage) if the archive that an environment variable
/// names is not an image.
pub async fn run(context: &CommandContext) -> Result<(), Error> {
    let CommandContext { paths, progress, shutdown, .. } = context;
    let server = build_server(&paths.cache, progress, shutdown).await?;
    let pause = build_pause(&paths.cache, progress, shutdown).await?;
    if context.json {
        Ok(output::json(&BuildOutput { schema_version: SCHEMA_VERSION, server, pause })?)
    } else {
        Ok(output::text(&table(&[server, pause]))?)
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
}
