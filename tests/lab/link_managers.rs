//! Programs that configure every new link of a machine leave the lab's link alone.

use crate::host::Host;
use crate::lab::{Lab, NAME, text};
use crate::programs::Program;

/// The configuration that NixOS generates, without its use of udev, because the link is in a namespace. The last line
/// belongs to the test: the package's own script is not installed.
const NIXOS: &str = "\
hostname
option domain_name_servers, domain_name, domain_search, host_name
option classless_static_routes, ntp_servers, interface_mtu
nohook lookup-hostname
denyinterfaces lo peth* vif* tap* tun* virbr* vnet* vboxnet* sit*
waitip
nodev
script /bin/true
";

/// Boots a lab on a machine with dhcpcd, then adds an ordinary pair of links. When dhcpcd has configured these, which came
/// later, it has also decided about the lab's. The arguments are the words that start dhcpcd.
const SCRIPT: &str = "
ip link set lo up
# dhcpcd keeps its files in /run and /var/lib.
mount -t tmpfs none /run && mkdir /run/state && mount --bind \"$EVENKEEL_STATE_DIR\" /run/state &&
mount -t tmpfs none /var/lib && mkdir -p \"$EVENKEEL_STATE_DIR\" && mount --bind /run/state \"$EVENKEEL_STATE_DIR\" || exit 97
printf %s \"$DHCPCD_CONF\" > /run/dhcpcd.conf
# The process must have the program's name even if a loader runs it.
mkdir /run/bin && ln -s \"$1\" /run/bin/dhcpcd && shift
/run/bin/dhcpcd \"$@\" --nobackground --config /run/dhcpcd.conf >&2 &
dhcpcd=$!
\"$EVENKEEL\" up >&2 || exit 96
ip link add ordinary0 type veth peer name ordinary1 && ip link set ordinary0 up && ip link set ordinary1 up
for _ in $(seq 120); do
    ip -4 address show | grep -q 'inet 169.254.*ordinary' && break
    sleep 0.5
done
ip -4 address show | grep -q 'inet 169.254.*ordinary' || exit 95
echo \"link: $(ip -oneline address show dev ek-$EVENKEEL_NAME)\"
ip route show table all dev ek-$EVENKEEL_NAME | sed 's/^/route: /'
\"$EVENKEEL\" --json status
ip address add 169.254.7.7/16 dev ek-$EVENKEEL_NAME && ip route add default dev ek-$EVENKEEL_NAME metric 9
\"$EVENKEEL\" status | head -2
ip address delete 198.18.0.1/24 dev ek-$EVENKEEL_NAME
\"$EVENKEEL\" status >/dev/null && exit 94
kill $dhcpcd; wait $dhcpcd
\"$EVENKEEL\" down >&2
";

#[test]
fn dhcpcd_leaves_the_labs_link_alone_and_what_another_program_changes_is_named() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let dhcpcd = Program::from_debian("dhcpcd", "dhcpcd-base").command();
    let words = std::iter::once(dhcpcd.get_program()).chain(dhcpcd.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let prepare = format!("DHCPCD_CONF='{NIXOS}'; set -- {}", words.join(" "));
    let output = lab.script(&["--net", "--mount"], &format!("{prepare}\n{SCRIPT}"));
    let (said, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}\n{told}");

    let link: Vec<&str> = said.lines().filter(|line| line.contains("ek-") && line.contains("inet")).collect();
    assert!(link.len() == 1 && link[0].contains("inet 198.18.0.1/24"), "the link has other addresses: {said}");
    let routes = said.lines().filter_map(|line| line.strip_prefix("route: "));
    let foreign: Vec<&str> = routes.filter(|route| !route.contains("198.18.")).collect();
    assert!(foreign.is_empty(), "dhcpcd added routes: {foreign:?}");
    assert!(said.contains("\"link_changes\": null"), "{said}");

    let added = format!("ek-{NAME}: it added the address 169.254.7.7, a default route");
    assert!(said.contains(&added) && said.contains("dhcpcd)"), "{said}");
    assert!(said.contains("hint: dhcpcd: add the line \"denyinterfaces ek-*\""), "{said}");
    assert!(told.contains("it removed the address 198.18.0.1"), "{told}");
    Host::look().assert_same(&before);
}
