//! The exit code of each error.

use super::Error;
use crate::cluster::ClusterError;
use crate::experiment::ExperimentError;
use crate::image::ImageError;
use crate::report::ReportError;
use crate::toolbox::ToolboxError;
use crate::workload::WorkloadError;
use evenkeel_grpc::SchemaError;
use evenkeel_load::LoadError;

/// The command failed.
const FAILED: u8 = 1;
/// The arguments ask for something impossible, and nothing was changed.
const IMPOSSIBLE: u8 = 2;
/// Ctrl-C or a termination signal.
const INTERRUPTED: u8 = 130;

impl Error {
    /// 2: the arguments ask for something impossible, and nothing was changed; 130: interrupted; 1: everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BadValue { .. }
            | Self::StateIsFile(_)
            | Self::NeedsLinux { .. }
            | Self::NeedsYes { .. }
            | Self::Report(ReportError::BadReport { .. }) => IMPOSSIBLE,
            Self::Interrupted(_) | Self::EndedEarly { .. } => INTERRUPTED,
            Self::Toolbox(error) => toolbox(error),
            Self::Image(error) | Self::ContainerImage { source: error, .. } => image(error),
            Self::Cluster(error) => cluster(error),
            Self::Workload(error) => workload(error),
            Self::Load(error) => load(error),
            Self::Experiment(error) => experiment(error),
            _ => FAILED,
        }
    }

    /// Whether Ctrl-C or a termination signal ended the work.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.exit_code() == INTERRUPTED
    }
}

fn toolbox(error: &ToolboxError) -> u8 {
    match error {
        ToolboxError::BadArchive { .. } | ToolboxError::OtherPlatform { .. } | ToolboxError::OtherPins { .. } => {
            IMPOSSIBLE
        }
        ToolboxError::Interrupted(_) => INTERRUPTED,
        _ => FAILED,
    }
}

fn image(error: &ImageError) -> u8 {
    match error {
        ImageError::BadImage { .. }
        | ImageError::SeveralImages { .. }
        | ImageError::NoName { .. }
        | ImageError::WrongPlatform { .. }
        | ImageError::Registry { .. }
        | ImageError::Unauthorised { .. }
        | ImageError::NotInRegistry { .. }
        | ImageError::UnknownImage { .. }
        | ImageError::SamePlatform { .. }
        | ImageError::PushRefused { .. } => IMPOSSIBLE,
        ImageError::Interrupted(_) => INTERRUPTED,
        _ => FAILED,
    }
}

fn cluster(error: &ClusterError) -> u8 {
    match error {
        ClusterError::StateElsewhere { .. }
        | ClusterError::HiddenLab { .. }
        | ClusterError::NoDataPlane { .. }
        | ClusterError::NoPacketDelay { .. }
        | ClusterError::StateIsFile(_)
        | ClusterError::UnknownComponent { .. }
        | ClusterError::NotOnNode { .. }
        | ClusterError::ControlPlaneNode { .. }
        | ClusterError::ForeignKubeconfig { .. }
        | ClusterError::UnknownContext { .. }
        | ClusterError::NoRouter { .. } => IMPOSSIBLE,
        error if error.is_interrupted() => INTERRUPTED,
        _ => FAILED,
    }
}

fn workload(error: &WorkloadError) -> u8 {
    match error {
        WorkloadError::AgentsRefused { .. }
        | WorkloadError::ForeignTarget { .. }
        | WorkloadError::Manifest { .. }
        | WorkloadError::UnknownPod { .. }
        | WorkloadError::UnknownNode { .. }
        | WorkloadError::CannotEvict { .. }
        | WorkloadError::UnknownService { .. }
        | WorkloadError::SeveralServices { .. }
        | WorkloadError::NoServiceGiven
        | WorkloadError::NoBalanced { .. }
        | WorkloadError::MissingRights { .. }
        | WorkloadError::PodsForbidden { .. }
        | WorkloadError::LittleRoom { .. }
        | WorkloadError::Unscalable { .. }
        | WorkloadError::Headless { .. }
        | WorkloadError::NoHeadless { .. }
        | WorkloadError::NoEndpoints { .. }
        | WorkloadError::Unsuitable { .. } => IMPOSSIBLE,
        WorkloadError::Interrupted(_) => INTERRUPTED,
        WorkloadError::Cluster(error) => cluster(error),
        _ => FAILED,
    }
}

fn load(error: &LoadError) -> u8 {
    match error {
        LoadError::InvalidValue { .. }
        | LoadError::Certificate { .. }
        | LoadError::ServerName { .. }
        | LoadError::TooFewDescriptors { .. } => IMPOSSIBLE,
        _ => FAILED,
    }
}

fn experiment(error: &ExperimentError) -> u8 {
    match error {
        ExperimentError::Interrupted(_) => INTERRUPTED,
        // A server that cannot be reached has nothing to do with what was asked for.
        ExperimentError::Schema(SchemaError::Reflection { .. }) => FAILED,
        ExperimentError::Schema(_) => IMPOSSIBLE,
        ExperimentError::Load(error) => load(error),
        ExperimentError::Workload(error) => workload(error),
        ExperimentError::Cluster(error) => cluster(error),
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::num::NonZeroU32;

    #[test]
    fn a_load_that_is_impossible_exits_with_2_and_one_that_failed_with_1() {
        let source = || io::Error::from(io::ErrorKind::OutOfMemory);
        let target = "198.18.1.1:80".parse().unwrap();
        let errors = [
            (2, LoadError::InvalidValue { expected: "a path that begins with /" }),
            (2, LoadError::TooFewDescriptors { connections: NonZeroU32::MAX, limit: 1024 }),
            (2, LoadError::Certificate { what: "the key", why: "x".into() }),
            (2, LoadError::ServerName { name: "a..b".into() }),
            (1, LoadError::DescriptorLimit { source: source() }),
            (1, LoadError::Epoll { source: source() }),
            (1, LoadError::Thread { source: source() }),
            (1, LoadError::NoAddress { target }),
            (1, LoadError::Poll { target, source: source() }),
            (1, LoadError::WorkerLost { target }),
            (1, LoadError::Histogram { why: "x".into() }),
        ];
        for (code, error) in errors {
            // Clap names the flag, and a library knows none.
            assert!(!error.to_string().contains("--"), "{error}");
            let error = Error::from(error);
            assert_eq!(error.exit_code(), code, "{error}");
            assert!(code == 2 || !error.hint().is_empty(), "{error}");
        }
    }
}
