//! Access control in a lab: which sockets listen, which clients are refused, and where secrets are stored.

mod files;
mod identity;
mod image;
mod keys;
mod listeners;
pub(crate) mod network;
mod secrets;
mod strangers;

use crate::lab::Lab;

#[test]
fn a_lab_is_open_to_its_own_only() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "2"]);
    let sandbox = network::Sandbox::find();

    let open = listeners::only_what_is_allowed_listens(&lab, sandbox);
    listeners::nothing_listens_on_the_machine();
    listeners::the_machine_reaches_the_link_only(&open);
    listeners::a_pod_reaches_what_it_must(sandbox, &open);

    strangers::the_api_server_refuses(&lab);
    strangers::the_kubelet_refuses(&lab);
    strangers::etcd_refuses(&lab, sandbox);
    strangers::loopback_is_not_trusted(sandbox);

    files::of_the_machine_are_read_only(sandbox);
    secrets::are_encrypted_at_rest(&lab, sandbox);
    keys::stay_in_private_files(&lab);
}

#[test]
fn an_image_is_one_static_file() {
    let Some(lab) = Lab::new() else { return };
    let built = lab.json(&["build"]);
    image::holds_one_static_file(&built["server"], "evenkeel-server");
    image::holds_one_static_file(&built["pause"], "pause");
}
