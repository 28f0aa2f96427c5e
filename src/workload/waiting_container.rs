//! Whether a container that waits can still start.

/// The reasons with which a container waits that will not start without a change.
const HOPELESS: [&str; 7] = [
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];
/// What the container runtime says when it was only slow, as on a busy machine. The kubelet tries again, and that succeeds; the
/// second error follows from the first.
const SLOW_RUNTIME: [&str; 2] = ["context deadline exceeded", "failed to reserve container name"];

/// Whether a container that waits for this reason, with this message, will not start without a change.
pub(super) fn cannot_start(reason: &str, message: &str) -> bool {
    // Other reasons are those of the registry and of the configuration.
    let of_runtime = matches!(reason, "CreateContainerError" | "RunContainerError");
    let is_slow = of_runtime && SLOW_RUNTIME.iter().any(|says| message.contains(says));
    HOPELESS.contains(&reason) && !is_slow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_runtime_is_slow() {
        assert!(!cannot_start("RunContainerError", "context deadline exceeded"));
        assert!(!cannot_start("CreateContainerError", "failed to reserve container name \"server\": it is reserved"));
        assert!(cannot_start("RunContainerError", "exec: \"/none\": no such file"));
        assert!(cannot_start("ErrImagePull", "context deadline exceeded"), "the registry cannot be reached");
    }
}
