//! The registry that containerd asks for images: this program itself, supervised like the others.

use crate::toolbox::Program;

use super::super::image_mirror::{ADDRESS, MirrorSettings};
use super::{BootPhase, ComponentContext, ComponentSpec, Ready};

const NAME: &str = "image-mirror";

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let settings = MirrorSettings {
        token: context.mirror_token.to_owned(),
        ctr: context.program(Program::Ctr),
        evenkeel: context.layout.evenkeel(),
        cache: context.cache.to_owned(),
        environment: context.environment.to_owned(),
    };
    let file = context.layout.conf("image-mirror.json");
    // Plain values are always JSON.
    let text = serde_json::to_string(&settings).unwrap_or_default();
    ComponentSpec::new(NAME, context.layout.evenkeel(), BootPhase::Base, Ready::Get(format!("http://{ADDRESS}/v2/")))
        .args(["sandbox", NAME])
        .arg(file.display().to_string())
        .file(file, text)
        .with_machine()
}
