{
  description = "A load-balancing lab on real Kubernetes: what does a service do behind a load balancer while it scales, rolls and fails?";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";
    crane.url = "github:ipetkov/crane";
    kubenix = {
      url = "github:hall/kubenix";
      inputs.nixpkgs.follows = "nixpkgs";
      # Only its own formatting and its use without flakes need these.
      inputs.treefmt.follows = "";
      inputs.flake-compat.follows = "";
    };
  };

  # Enable this when there is a binary cache:
  # nixConfig = {
  #   extra-substituters = [ "https://CACHE" ];
  #   extra-trusted-public-keys = [ "CACHE-1:KEY" ];
  # };

  outputs =
    {
      self,
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
      formatter = each (lab: import ./nix/formatter.nix lab.pkgs);
    in
    {
      inherit formatter;
      lib = { inherit mkLab; };
      packages = each (lab: lab.packages);
      apps = each (lab: lab.apps // import ./nix/render.nix lab);
      devShells = lib.mapAttrs (system: lab: {
        default = import ./nix/shell.nix {
          inherit lab;
          formatter = formatter.${system};
        };
        lab = lab.devShell;
      }) labs;
      checks = each (lab: import ./nix/checks.nix { inherit self lab mkLab; });
      overlays.default = final: _: { inherit (mkLab { pkgs = final; }) evenkeel; };
      nixosModules.default = import ./nix/nixos-module.nix { inherit self; };
      templates.default = {
        path = ./nix/template;
        description = "A lab for a service of your own: its image, its manifests, and an app for each command";
      };
    };
}
