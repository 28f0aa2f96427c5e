//! The logs of the cluster's components.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::process::last_lines;
use crate::shutdown::Shutdown;
use crate::workload::WorkloadError;

/// How often a file that is followed is read again.
const LOOK: Duration = Duration::from_millis(200);

/// The log of a component on one node.
struct Log {
    node: String,
    path: PathBuf,
    /// The bytes that have been read.
    read: u64,
    /// The beginning of a line that is not complete yet.
    rest: Vec<u8>,
}

/// Passes the lines of a component's logs to `sink`, one log for each node that runs the component. With `follow`, it
/// continues with new lines until `shutdown`.
///
/// # Errors
/// [`ClusterError::UnknownComponent`] for a component that has no log; [`WorkloadError::Io`]; the errors of `sink`.
pub async fn component(
    cluster: &Cluster,
    name: &str,
    follow: bool,
    tail: Option<u32>,
    shutdown: &Shutdown,
    sink: &mut dyn FnMut(&str, &str) -> Result<(), IoError>,
) -> Result<(), WorkloadError> {
    let mut logs = find(cluster, name)?;
    for log in &mut logs {
        let text = log.more()?;
        let text = tail.map_or(text.clone(), |count| last_lines(&text, count as usize));
        text.lines().try_for_each(|line| sink(&log.node, line))?;
    }
    if !follow {
        // Without `follow`, an incomplete last line is a line as well.
        let mut unended = logs.iter().filter(|log| !log.rest.is_empty());
        return Ok(unended.try_for_each(|log| sink(&log.node, &String::from_utf8_lossy(&log.rest)))?);
    }
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
        for log in &mut logs {
            log.more()?.lines().try_for_each(|line| sink(&log.node, line))?;
        }
    }
}

fn find(cluster: &Cluster, name: &str) -> Result<Vec<Log>, WorkloadError> {
    let directory = |node: &str| cluster.paths.logs().join(node);
    let mut there = BTreeSet::new();
    let mut logs = Vec::new();
    let nodes = cluster.nodes.iter().map(|running| &running.node.name);
    for node in nodes.chain(cluster.router.as_ref().map(|router| &router.name)) {
        let names = components(&directory(node))?;
        if names.contains(name) {
            let path = directory(node).join(format!("{name}.log"));
            logs.push(Log { node: node.clone(), path, read: 0, rest: Vec::new() });
        }
        there.extend(names);
    }
    if logs.is_empty() {
        let components = there.into_iter().collect();
        return Err(ClusterError::UnknownComponent { given: name.to_owned(), components }.into());
    }
    Ok(logs)
}

/// The components that have a log in `directory`.
fn components(directory: &Path) -> Result<BTreeSet<String>, WorkloadError> {
    let entries = fs::read_dir(directory).map_err(|source| IoError::file("read", directory, source))?;
    let names =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log").map(str::to_owned));
    Ok(names.collect())
}

impl Log {
    /// The complete lines that were written since the last call.
    fn more(&mut self) -> Result<String, WorkloadError> {
        let failed = |source| IoError::file("read", &self.path, source);
        let mut file = File::open(&self.path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length < self.read {
            // The file was truncated.
            self.read = 0;
            self.rest.clear();
        }
        file.seek(SeekFrom::Start(self.read)).map_err(failed)?;
        // Bytes, because the file may end in the middle of a character.
        let mut bytes = std::mem::take(&mut self.rest);
        self.read += file.read_to_end(&mut bytes).map_err(failed)? as u64;
        let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        self.rest = bytes.split_off(end);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_complete_lines_are_read_and_truncation_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubelet.log");
        let mut log = Log { node: "lab-0".into(), path: path.clone(), read: 0, rest: Vec::new() };
        let append = |text: &[u8]| File::options().append(true).create(true).open(&path).unwrap().write_all(text);
        append(b"one\ntw").unwrap();
        assert_eq!(log.more().unwrap(), "one\n");
        append("o\nthré\n".as_bytes().split_at(6).0).unwrap();
        assert_eq!(log.more().unwrap(), "two\n");
        append("o\nthré\n".as_bytes().split_at(6).1).unwrap();
        assert_eq!(log.more().unwrap(), "thré\n", "the file ended in the middle of a character");
        assert_eq!(log.more().unwrap(), "");
        fs::write(&path, "new\n").unwrap();
        assert_eq!(log.more().unwrap(), "new\n");
    }

    #[test]
    fn component_names_come_from_the_log_files() {
        let directory = tempfile::tempdir().unwrap();
        for file in ["etcd.log", "etcd.command", "kubelet.log"] {
            fs::write(directory.path().join(file), "").unwrap();
        }
        assert_eq!(components(directory.path()).unwrap().into_iter().collect::<Vec<_>>(), ["etcd", "kubelet"]);
    }
}
