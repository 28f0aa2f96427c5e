//! Helm's hooks among the manifests. `helm template` renders all of them, also those that an installation does not create.

use kube::ResourceExt;

use super::Manifest;

/// The annotation with the events of a hook, separated by commas.
const HOOK: &str = "helm.sh/hook";
/// The events of an installation. Other hooks are for `helm test`, an upgrade, a rollback or the removal.
const OF_AN_INSTALLATION: [&str; 3] = ["crd-install", "pre-install", "post-install"];

/// Removes the hooks that an installation does not create, and returns them.
pub fn take_other_hooks(manifests: &mut Vec<Manifest>) -> Vec<Manifest> {
    manifests.extract_if(.., |manifest| is_other_hook(manifest)).collect()
}

fn is_other_hook(manifest: &Manifest) -> bool {
    let Some(events) = manifest.object.annotations().get(HOOK) else { return false };
    !events.split(',').any(|event| OF_AN_INSTALLATION.contains(&event.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::manifest::read_text;

    #[test]
    fn only_the_hooks_of_an_installation_stay() {
        let hook = |name: &str, events: &str| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{helm.sh/hook: '{events}'}}}}\n"
            )
        };
        let text = [
            "{apiVersion: v1, kind: Pod, metadata: {name: plain}}\n".to_owned(),
            hook("test", "test"),
            hook("old-test", "test-success"),
            hook("migrate", "pre-upgrade, pre-install"),
            hook("after", "post-install"),
            hook("upgrade", "pre-upgrade,post-upgrade"),
            hook("removal", "pre-delete"),
        ];
        let mut manifests = read_text("chart.yaml", &text.concat()).unwrap();
        let taken = take_other_hooks(&mut manifests);
        let names = |manifests: &[Manifest]| manifests.iter().map(|one| one.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&manifests), ["plain", "migrate", "after"]);
        assert_eq!(names(&taken), ["test", "old-test", "upgrade", "removal"]);
    }
}
