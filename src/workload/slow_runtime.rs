//! Errors of the container runtime that it reports when it is only slow.

/// What it says then. The kubelet tries again, and that succeeds; the second error follows from the first.
const SAYS: [&str; 2] = ["context deadline exceeded", "failed to reserve container name"];

/// Whether a container that waits for this reason, with this message, starts if one waits longer, as on a busy machine.
pub(super) fn is_slow(reason: &str, message: &str) -> bool {
    // Other reasons are those of the registry and of the configuration.
    matches!(reason, "CreateContainerError" | "RunContainerError") && SAYS.iter().any(|says| message.contains(says))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_runtime_is_slow() {
        assert!(is_slow("RunContainerError", "context deadline exceeded"));
        assert!(is_slow("CreateContainerError", "failed to reserve container name \"server\": it is reserved"));
        assert!(!is_slow("RunContainerError", "exec: \"/none\": no such file"));
        assert!(!is_slow("ErrImagePull", "context deadline exceeded"), "the registry cannot be reached");
    }
}
