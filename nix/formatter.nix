# `nix fmt`: one command for Nix, Rust and TOML.
pkgs:
pkgs.treefmt.withConfig {
  name = "evenkeel-fmt";
  runtimeInputs = [
    pkgs.nixfmt
    pkgs.rustfmt
    pkgs.taplo
  ];
  settings = {
    on-unmatched = "info";
    tree-root-file = "flake.nix";
    formatter = {
      nixfmt = {
        command = "nixfmt";
        includes = [ "*.nix" ];
      };
      rustfmt = {
        command = "rustfmt";
        options = [
          "--edition"
          "2024"
        ];
        includes = [ "*.rs" ];
      };
      taplo = {
        command = "taplo";
        options = [ "format" ];
        includes = [ "*.toml" ];
      };
    };
  };
}
