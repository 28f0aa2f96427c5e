{
  description = "A load-balancing lab on real Kubernetes: what does a service do behind a load balancer while it scales, rolls and fails?";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";
    crane.url = "github:ipetkov/crane";
    kubenix = {
      url = "github:hall/kubenix";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    {
      nixpkgs,
      crane,
      kubenix,
      ...
    }:
    let
      inherit (nixpkgs) lib;
      mkLab = import ./nix/lab.nix { inherit nixpkgs crane kubenix; };
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ];
      # The lab with default options, for each system.
      labs = lib.genAttrs systems (system: mkLab { inherit system; });
      each = output: lib.mapAttrs (_: output) labs;
    in
    {
      lib = { inherit mkLab; };
      packages = each (lab: lab.packages);
      apps = each (import ./nix/apps.nix);
      devShells = each (lab: {
        default = import ./nix/shell.nix lab;
      });
      checks = each (lab: import ./nix/checks.nix { inherit lab mkLab; });
      formatter = each (lab: lab.pkgs.nixfmt-tree);
    };
}
