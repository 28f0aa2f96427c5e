# Runs the demo and single commands on an unmodified NixOS, as root and as a user with sudo, and checks that nothing is left.
{ lab }:
lab.pkgs.testers.runNixOSTest {
  name = "evenkeel";

  nodes.machine = {
    virtualisation = {
      cores = 2;
      memorySize = 4096;
      diskSize = 4096;
    };
    # The test driver sets this to 1. Then a pod that runs out of memory would stop the whole machine.
    boot.kernel.sysctl."vm.panic_on_oom" = 0;
    environment.systemPackages = [
      lab.evenkeel
      lab.pkgs.curl
      lab.pkgs.jq
    ];
    security.sudo.wheelNeedsPassword = false;
    users.users.alice = {
      isNormalUser = true;
      extraGroups = [ "wheel" ];
    };
  };

  testScript = ''
    import json


    def traces():
        """Everything that a lab could leave: links, routes, mounts, cgroups, rules, settings, processes."""
        return machine.succeed(
            "ip -brief link | awk '{print $1}' | sort",
            "ip route | sort",
            "findmnt --list --noheadings --output TARGET | sort",
            "find /sys/fs/cgroup -type d -name 'evenkeel*'",
            "cat /sys/fs/cgroup/cgroup.subtree_control",
            "iptables-save | grep -v '^[#:]' | sort",
            "sysctl --all 2>/dev/null | grep -E '^(vm.overcommit_memory|vm.panic_on_oom|kernel.panic)'",
            "ls /var/lib/evenkeel 2>/dev/null || true",
            "pgrep --list-name 'kube|etcd|containerd|evenkeel' || true",
        )


    machine.wait_for_unit("multi-user.target")
    before = traces()

    with subtest("doctor finds everything"):
        print(machine.succeed("evenkeel doctor"))

    with subtest("the demo runs from boot to down"):
        report = json.loads(
            machine.succeed("evenkeel demo --json --replicas 2,3 --duration 3s 2>/tmp/story || (cat /tmp/story >&2; false)")
        )
        for run in report["runs"]:
            pods = run["spread"]["pods"]
            assert len(pods) == run["replicas"], f"{run['replicas']} pods, but only {pods} got requests"
            assert run["errors"] == 0, f"{run['errors']} errors"
        assert traces() == before, "demo left something"

    with subtest("a user with sudo gets a lab with an external IP"):
        machine.succeed("sudo -u alice evenkeel up 2>/tmp/story || (cat /tmp/story >&2; false)")
        machine.succeed("sudo -u alice evenkeel deploy 2>/tmp/story || (cat /tmp/story >&2; false)")
        # dhcpcd runs, and would give the lab's link an address of its own within this time.
        machine.succeed("sleep 20")
        addresses = machine.succeed("ip -4 -oneline address show dev ek-lab").strip().splitlines()
        assert len(addresses) == 1 and "198.18.0.1/24" in addresses[0], addresses
        address = json.loads(machine.succeed("sudo -u alice evenkeel status --json"))["services"][0]["external_ips"][0]
        answers = {
            json.loads(machine.succeed(f"curl --fail --silent --max-time 5 http://{address}/"))["pod"]
            for _ in range(30)
        }
        assert len(answers) == 2, f"only {answers} answered"
        machine.succeed("sudo -u alice ${lab.apps.down.program}")
        assert traces() == before, "down left something"
  '';
}
