//! Images of a local Docker or Podman.

use std::fs::File;
use std::io::Seek;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use super::archive::temporary;
use super::{Archive, Image, ImageName};
use crate::process::Invocation;
use crate::progress::Progress;

/// The programs, in the order in which they are asked.
const ENGINES: [&str; 2] = ["docker", "podman"];
/// How long one may take to say whether it has an image.
const ANSWER: Duration = Duration::from_secs(5);

/// The image of that name in a local Docker or Podman; `None` if there is none, or no such program that works.
pub(super) async fn find(name: &ImageName, progress: &Progress) -> Option<Image> {
    for engine in ENGINES {
        let inspect = Invocation::new(engine, ["image", "inspect", "--format", "{{.Id}}", &name.to_string()]);
        if !matches!(tokio::time::timeout(ANSWER, inspect.run_async()).await, Ok(Ok(_))) {
            continue;
        }
        let step = progress.step(format!("take {name} from {engine}"));
        let saved = save(engine, name).await;
        let path = saved.as_ref().map(|file| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())));
        let archive = path.and_then(|path| Archive::read(&path, &Progress::silent()).ok());
        if let Some(mut image) = archive.and_then(|archive| archive.one(Some(name)).ok()) {
            // The archive has no name of its own; what is imported must stay open.
            if image.normalised.is_none() {
                image.normalised = saved.map(Into::into);
            }
            image.archive = PathBuf::from(engine);
            step.done();
            return Some(image);
        }
    }
    None
}

/// What `save` writes, in a temporary file.
async fn save(engine: &str, name: &ImageName) -> Option<File> {
    let mut file = temporary().ok()?;
    let invocation = Invocation::new(engine, ["save", &name.to_string()]);
    let mut command = tokio::process::Command::from(invocation.command());
    command.stdout(file.try_clone().ok()?).stderr(Stdio::null()).kill_on_drop(true);
    let status = command.status().await.ok()?;
    file.rewind().ok()?;
    status.success().then_some(file)
}
