# The programs that a lab runs. `evenkeel doctor` shows the path of each.
{ pkgs }:
with pkgs;
[
  kubernetes
  etcd
  containerd
  runc
  cni-plugins
  nftables
  iptables
  iproute2
  conntrack-tools
  util-linux
]
