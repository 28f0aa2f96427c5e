# `nix develop`: the shell of the lab with the pinned toolchain, the formatters and the linters.
{ lab, formatter }:
let
  inherit (lab) lib pkgs;
in
lab.rust.craneLib.devShell {
  inputsFrom = [ lab.devShell ];
  packages =
    (with pkgs; [
      cargo-deny
      cargo-nextest
      deadnix
      formatter
      go
      nixfmt
      rust-analyzer
      statix
      taplo
    ])
    # `evenkeel build` links to the static C library.
    ++ lib.optional lab.isLinux pkgs.glibc.static;
}
