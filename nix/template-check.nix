# Builds the service, the image and the manifests of the template, as its own flake does.
{
  self,
  lab,
  check,
}:
let
  inherit (lab) pkgs;
  outputs = (import ./template/flake.nix).outputs {
    evenkeel.lib.mkLab = arguments: self.lib.mkLab (arguments // { inherit pkgs; });
    nixpkgs.legacyPackages.x86_64-linux = pkgs;
  };
  inherit (outputs.packages.x86_64-linux) image manifests;
in
check "template" [ ] ''
  test -s ${image}
  grep --fixed-strings '${image.imageName}:${image.imageTag}' ${manifests}/deployment.yaml
  grep --fixed-strings 'containerPort: 8080' ${manifests}/deployment.yaml
''
