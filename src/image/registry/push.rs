//! Sends the files of images to a registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::stream;
use http::HeaderValue;
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::token_cache::{RegistryToken, RegistryTokenType};
use oci_client::{Client, Reference, RegistryOperation};

use super::client::{self, DockerDaemon};
use super::refusal::{status, words};
use super::{INTERVAL, MANIFEST, SILENCE, credentials};
use crate::image::archive::{StoredBlob, megabytes};
use crate::image::{ImageError, ImageSources, Repository};
use crate::progress::Step;

/// How much of a file is read at once.
const PART: usize = 256 << 10;

/// A repository to which the caller may push.
pub(in crate::image) struct Session<'a> {
    client: Client,
    repository: &'a Repository,
    auth: RegistryAuth,
}

/// The bytes of one image that were sent.
pub(in crate::image) struct Sent<'a> {
    step: &'a Step,
    total: u64,
    bytes: Arc<AtomicU64>,
}

impl<'a> Sent<'a> {
    /// Nothing so far.
    pub(in crate::image) fn new(step: &'a Step, total: u64) -> Self {
        Self { step, total, bytes: Arc::default() }
    }

    pub(in crate::image) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl<'a> Session<'a> {
    /// Logs in to a registry with the caller's credentials, and checks that it answers.
    ///
    /// # Errors
    /// [`ImageError::NotPushed`], [`ImageError::PushRefused`].
    pub(in crate::image) async fn open(repository: &'a Repository, sources: &ImageSources) -> Result<Self, ImageError> {
        let auth = credentials::find(repository.name(), &sources.credentials);
        let client = client::client(repository.registry(), &DockerDaemon::read(), None);
        let client = client.map_err(|why| ImageError::NotPushed { repository: repository.to_string(), why })?;
        let session = Self { client, repository, auth };
        session.log_in().await?;
        // Some registries look at the credentials only when they are asked for something.
        session.has("latest", "").await?;
        Ok(session)
    }

    /// Gets a new token, which may be valid for a minute only.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(in crate::image) async fn log_in(&self) -> Result<(), ImageError> {
        let repository = self.repository.name().reference();
        let token = self.answer(self.client.auth(repository, &self.auth, RegistryOperation::Push)).await?;
        if let Some(token) = token {
            // Registries may give no token to read what is not there yet, and this one is also for reading.
            let token = RegistryTokenType::Bearer(RegistryToken::Token { token });
            self.client.tokens.insert(repository, RegistryOperation::Pull, token).await;
        }
        Ok(())
    }

    /// Whether the manifest with this tag has this digest.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(in crate::image) async fn has(&self, tag: &str, digest: &str) -> Result<bool, ImageError> {
        let reference = self.tagged(tag);
        let found = tokio::time::timeout(MANIFEST, self.client.fetch_manifest_digest(&reference, &self.auth)).await;
        match found {
            Ok(Ok(found)) => Ok(found == digest),
            Ok(Err(problem)) if status(&problem) == 404 => Ok(false),
            Ok(Err(problem)) => Err(self.refused(&problem)),
            Err(_) => Err(self.silent(MANIFEST)),
        }
    }

    /// Sends a configuration or a layer, unless the registry has it.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(in crate::image) async fn send_blob(&self, blob: &StoredBlob, sent: &Sent<'_>) -> Result<(), ImageError> {
        let repository = self.repository.name().reference();
        if self.answer(self.client.blob_exists(repository, &blob.digest)).await? {
            return Ok(());
        }
        let (counter, file) = (Arc::clone(&sent.bytes), blob.clone());
        let parts = stream::try_unfold(0, move |offset| {
            let part = file.read_at(offset, PART).map_err(OciDistributionError::from);
            let length = part.as_ref().map_or(0, |part| part.len() as u64);
            counter.fetch_add(length, Ordering::Relaxed);
            std::future::ready(part.map(|part| (length > 0).then(|| (part.into(), offset + length))))
        });
        let upload = self.client.push_blob_stream(repository, parts, &blob.digest, Some(blob.size()));
        self.watch(upload, sent).await.map(drop)
    }

    /// Sends a manifest or an index with this tag, after everything that it refers to.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(in crate::image) async fn send_manifest(
        &self,
        tag: &str,
        content: &[u8],
        media_type: &str,
        sent: &Sent<'_>,
    ) -> Result<(), ImageError> {
        let not_taken = |why: String| self.failed(format!("it refused the manifest {tag} ({media_type}): {why}"));
        let kind = HeaderValue::from_str(media_type).map_err(|problem| not_taken(problem.to_string()))?;
        let reference = self.tagged(tag);
        let put = self.client.push_manifest_raw(&reference, content.to_vec(), kind);
        match tokio::time::timeout(MANIFEST, put).await {
            Ok(Ok(_)) => sent.add(content.len() as u64),
            Ok(Err(problem)) if status(&problem) == 401 => return Err(self.refused(&problem)),
            // Whoever may push the files may push a manifest, so it is about this manifest.
            Ok(Err(problem)) if (400..500).contains(&status(&problem)) => return Err(not_taken(words(&problem))),
            Ok(Err(problem)) => return Err(self.refused(&problem)),
            Err(_) => return Err(self.silent(MANIFEST)),
        }
        Ok(())
    }

    fn tagged(&self, tag: &str) -> Reference {
        let name = self.repository.name();
        Reference::with_tag(name.registry().to_owned(), name.repository().to_owned(), tag.to_owned())
    }

    /// Waits for a short answer.
    async fn answer<T>(&self, request: impl Future<Output = Result<T, OciDistributionError>>) -> Result<T, ImageError> {
        match tokio::time::timeout(MANIFEST, request).await {
            Ok(answer) => answer.map_err(|problem| self.refused(&problem)),
            Err(_) => Err(self.silent(MANIFEST)),
        }
    }

    /// Waits for an upload, and shows how far it is.
    async fn watch<T>(
        &self,
        upload: impl Future<Output = Result<T, OciDistributionError>>,
        sent: &Sent<'_>,
    ) -> Result<T, ImageError> {
        let mut upload = std::pin::pin!(upload);
        let (mut known, mut since) = (sent.bytes(), Instant::now());
        loop {
            tokio::select! {
                done = &mut upload => return done.map_err(|problem| self.refused(&problem)),
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let now = sent.bytes();
            if now != known {
                (known, since) = (now, Instant::now());
                sent.step.detail(format!("{} of {}", megabytes(now), megabytes(sent.total)));
            } else if since.elapsed() >= SILENCE {
                return Err(self.silent(SILENCE));
            }
        }
    }

    fn refused(&self, problem: &OciDistributionError) -> ImageError {
        let why = words(problem);
        match status(problem) {
            401 | 403 => ImageError::PushRefused {
                repository: self.repository.to_string(),
                registry: self.repository.registry().to_owned(),
                why,
            },
            _ => self.failed(why),
        }
    }

    fn silent(&self, time: Duration) -> ImageError {
        self.failed(format!("no answer within {} s", time.as_secs()))
    }

    fn failed(&self, why: String) -> ImageError {
        ImageError::NotPushed { repository: self.repository.to_string(), why }
    }
}
