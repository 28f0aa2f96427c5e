# A NixOS module for machines on which labs run: the command, and settings for what a lab cannot do by itself.
{ self }:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.evenkeel;
  # Every lab's link on the machine: `ek-NAME`.
  links = "ek-*";
in
{
  options.programs.evenkeel = {
    enable = lib.mkEnableOption "Evenkeel, a Kubernetes load-balancing lab";
    package = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = lib.literalExpression "evenkeel.packages.\${system}.default";
      description = "The package that provides the command `evenkeel`.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    # Programs that configure the machine's network leave the lab's links alone, whatever other rules they have. Each of
    # these has no effect where the program is not enabled.
    networking.dhcpcd.denyInterfaces = [ links ];
    networking.networkmanager.unmanaged = [ "interface-name:${links}" ];
    # networkd takes the first file that matches, so this one must sort before all others.
    systemd.network.networks."00-evenkeel" = {
      matchConfig.Name = links;
      linkConfig.Unmanaged = true;
    };

    # Other machines load these on demand.
    boot.kernelModules = lib.mkIf config.security.lockKernelModules [
      # The file systems of containers, the links, and what `evenkeel doctor` tries out.
      "overlay"
      "veth"
      "bridge"
      # kube-proxy's rules for nftables, and connection tracking as kube-proxy and `evenkeel` read it.
      "nf_tables"
      "nf_conntrack_netlink"
      "nft_chain_nat"
      "nft_ct"
      "nft_fib_ipv4"
      "nft_masq"
      "nft_nat"
      "nft_numgen"
      "nft_reject_ipv4"
      # The kubelet's own rules, which it writes with iptables in both modes.
      "nft_compat"
      "xt_comment"
      "xt_conntrack"
      # kube-proxy's rules with `--proxy-mode iptables`, and ports of the node for pods (`hostPort`).
      "ipt_REJECT"
      "xt_MASQUERADE"
      "xt_addrtype"
      "xt_mark"
      "xt_multiport"
      "xt_nat"
      "xt_nfacct"
      "xt_recent"
      "xt_statistic"
      "xt_tcpudp"
      # The event `delay-pod`.
      "nfnetlink_queue"
      "xt_NFQUEUE"
    ];
  };
}
