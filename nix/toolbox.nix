# The programs a lab runs; `evenkeel doctor` shows which of them it takes.
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
