//! The exit code of each error.

use super::Error;
use crate::cluster::ClusterError;
use crate::experiment::ExperimentError;
use crate::image::ImageError;
use crate::report::ReportError;
use crate::toolbox::ToolboxError;
use crate::workload::WorkloadError;
use evenkeel_load::LoadError;

/// Something failed.
const FAILED: u8 = 1;
/// Something impossible was asked for, and nothing was changed.
const IMPOSSIBLE: u8 = 2;
/// Ctrl-C, or a signal of its kind.
const INTERRUPTED: u8 = 130;

impl Error {
    /// 2: something impossible was asked for, and nothing was changed; 130: interrupted; 1: everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BadValue { .. }
            | Self::StateIsFile(_)
            | Self::NeedsLinux { .. }
            | Self::Report(ReportError::BadReport { .. }) => IMPOSSIBLE,
            Self::Interrupted(_) | Self::EndedEarly { .. } => INTERRUPTED,
            Self::Toolbox(error) => toolbox(error),
            Self::Image(error) => image(error),
            Self::Cluster(error) => cluster(error),
            Self::Workload(error) => workload(error),
            Self::Load(error) => load(error),
            Self::Experiment(error) => experiment(error),
            _ => FAILED,
        }
    }

    /// Whether Ctrl-C, or a signal of its kind, ended the work.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.exit_code() == INTERRUPTED
    }
}

fn toolbox(error: &ToolboxError) -> u8 {
    if matches!(error, ToolboxError::Interrupted(_)) { INTERRUPTED } else { FAILED }
}

fn image(error: &ImageError) -> u8 {
    match error {
        ImageError::BadImage { .. } => IMPOSSIBLE,
        ImageError::Interrupted(_) => INTERRUPTED,
        _ => FAILED,
    }
}

fn cluster(error: &ClusterError) -> u8 {
    match error {
        ClusterError::StateElsewhere { .. }
        | ClusterError::HiddenLab { .. }
        | ClusterError::NoDataPlane { .. }
        | ClusterError::StateIsFile(_)
        | ClusterError::UnknownComponent { .. } => IMPOSSIBLE,
        error if error.is_interrupted() => INTERRUPTED,
        _ => FAILED,
    }
}

fn workload(error: &WorkloadError) -> u8 {
    match error {
        WorkloadError::ForeignTarget { .. } | WorkloadError::Manifest { .. } | WorkloadError::UnknownPod { .. } => {
            IMPOSSIBLE
        }
        WorkloadError::Interrupted(_) => INTERRUPTED,
        WorkloadError::Cluster(error) => cluster(error),
        _ => FAILED,
    }
}

fn load(error: &LoadError) -> u8 {
    match error {
        LoadError::Method { .. }
        | LoadError::Path { .. }
        | LoadError::Header { .. }
        | LoadError::Statuses { .. }
        | LoadError::TooFewDescriptors { .. } => IMPOSSIBLE,
        _ => FAILED,
    }
}

fn experiment(error: &ExperimentError) -> u8 {
    match error {
        ExperimentError::Interrupted(_) => INTERRUPTED,
        ExperimentError::Load(error) => load(error),
        ExperimentError::Workload(error) => workload(error),
        ExperimentError::Cluster(error) => cluster(error),
        _ => FAILED,
    }
}
