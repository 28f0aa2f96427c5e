//! The images of an archive in the format of `docker save`.

use std::io::Read;

use oci_spec::image::{Descriptor, ImageManifestBuilder, MediaType, SCHEMA_VERSION};
use serde::Deserialize;

use super::found::{Found, LONGEST_JSON, Wanted};
use super::oci::Problem;
use super::tar_index::{Place, TarIndex, digest_of};
use crate::image::ImageName;

/// An element of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// All wanted images. The format has no manifests, so they are made from the configuration and the layers.
pub(super) fn images(tar: &TarIndex, manifest: Place, wanted: Wanted) -> Result<Vec<Found>, Problem> {
    let invalid = |problem: &dyn std::fmt::Display| format!("its manifest.json is invalid ({problem})");
    let text = tar.small(manifest, LONGEST_JSON).map_err(|problem| invalid(&problem))?;
    let images: Vec<DockerImage> = serde_json::from_slice(&text).map_err(|problem| invalid(&problem))?;
    let mut usable = Vec::new();
    let mut wrong = None;
    for image in images {
        let names: Vec<ImageName> = image.repo_tags.iter().flatten().filter_map(|name| name.parse().ok()).collect();
        match found(tar, &image, names, wanted)? {
            Ok(found) => usable.push(found),
            Err(problem) => wrong = wrong.or(Some(problem)),
        }
    }
    match wrong {
        Some(problem) if usable.is_empty() => Err(problem),
        _ => Ok(usable),
    }
}

fn found(
    tar: &TarIndex,
    image: &DockerImage,
    names: Vec<ImageName>,
    wanted: Wanted,
) -> Result<Result<Found, Problem>, String> {
    let unreadable = |path: &str, problem: std::io::Error| format!("{path} cannot be read ({problem})");
    let require = |path: &str| tar.find(path).ok_or_else(|| format!("the archive is incomplete: {path} is missing"));
    let place = require(&image.config)?;
    let config = tar.small(place, LONGEST_JSON).map_err(|problem| unreadable(&image.config, problem))?;
    if let Some(found) = wanted.refuses(&config)? {
        let image = names.first().map_or_else(|| image.config.clone(), ToString::to_string);
        return Ok(Err(Problem::WrongPlatform { image, found: found.to_string() }));
    }
    let mut blobs = vec![(digest_of(&config), place)];
    let mut layers = Vec::new();
    for path in &image.layers {
        let place = require(path)?;
        let digest = tar.digest(place).map_err(|problem| unreadable(path, problem))?;
        layers.push(descriptor(layer_type(tar, place), place, &digest)?);
        blobs.push((digest, place));
    }
    let config = descriptor(MediaType::ImageConfig, place, &blobs[0].0)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers)
        .build()
        .map_err(|problem| problem.to_string())?;
    let manifest = serde_json::to_vec(&manifest).map_err(|problem| problem.to_string())?;
    let (digest, media_type) = (digest_of(&manifest), MediaType::ImageManifest.to_string());
    Ok(Ok(Found { names, label: None, manifest, digest, media_type, blobs, is_ready: false }))
}

fn descriptor(media_type: MediaType, place: Place, digest: &str) -> Result<Descriptor, String> {
    let digest: oci_spec::image::Digest = digest.parse().map_err(|_| format!("{digest} is no digest"))?;
    Ok(Descriptor::new(media_type, place.size, digest))
}

fn layer_type(tar: &TarIndex, place: Place) -> MediaType {
    let mut magic = [0; 4];
    let read = tar.content(place).and_then(|mut content| content.read_exact(&mut magic));
    match (read, magic) {
        (Ok(()), [0x1f, 0x8b, ..]) => MediaType::ImageLayerGzip,
        (Ok(()), [0x28, 0xb5, 0x2f, 0xfd]) => MediaType::ImageLayerZstd,
        _ => MediaType::ImageLayer,
    }
}
