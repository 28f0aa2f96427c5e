# The programs that a lab runs, by name. `evenkeel doctor` shows the path of each.
{ lib, pkgs }:
let
  inherit (lib) versions;
  inherit (pkgs) kubernetes;

  # The version that toolbox/ pins for machines without Nix. The command line accepts its minor version and the next.
  pinned = lib.head (
    lib.concatMap (lib.match "\tk8s.io/kubernetes v([0-9.]+).*") (
      lib.filter (lib.hasPrefix "\tk8s.io/kubernetes v") (
        lib.splitString "\n" (lib.readFile ../toolbox/kubernetes/go.mod)
      )
    )
  );
  next = "${versions.major pinned}.${toString (lib.toInt (versions.minor pinned) + 1)}";
  accepted = [
    (versions.majorMinor pinned)
    next
  ];
in
{
  kubernetes =
    if lib.elem (versions.majorMinor kubernetes.version) accepted then
      kubernetes
    else
      throw ''
        nixpkgs has Kubernetes ${kubernetes.version}, and this version of Evenkeel runs ${lib.concatStringsSep " and " accepted}.
        Use the nixpkgs of Evenkeel's own flake.lock: remove `inputs.nixpkgs.follows` from the input, or restore flake.lock
        after `nix flake update`. Or give mkLab another Kubernetes: `toolbox.kubernetes = …`.'';
  inherit (pkgs)
    etcd
    coredns
    containerd
    runc
    cni-plugins
    nftables
    iptables
    iproute2
    conntrack-tools
    util-linux
    # For `evenkeel soak --independent-client`.
    wrk
    ;
}
