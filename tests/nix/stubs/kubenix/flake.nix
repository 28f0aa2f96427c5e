{
  description = "Stands in for kubenix: options with types, and objects out of the resources";
  inputs.nixpkgs.url = "github:NixOS/nixpkgs";
  outputs =
    { nixpkgs, ... }:
    {
      evalModules = builtins.mapAttrs (
        _: pkgs: import ./modules.nix { inherit (nixpkgs) lib; } pkgs
      ) nixpkgs.legacyPackages;
    };
}
