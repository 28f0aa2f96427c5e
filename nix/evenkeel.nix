# The CLI with its programs, images and manifests by store path. A wrapper puts the programs on PATH and sets the variables
# that name the images and manifests.
{
  lib,
  pkgs,
  cli,
  toolbox,
  image,
  pauseImage,
  manifests,
}:
pkgs.runCommand "evenkeel-${cli.version}"
  {
    nativeBuildInputs = [ pkgs.makeBinaryWrapper ];
    inherit (cli) version;
    inherit (cli) meta;
  }
  ''
    mkdir -p $out
    ln -s ${cli}/share $out/share
    makeWrapper ${lib.getExe cli} $out/bin/evenkeel \
      --prefix PATH : ${lib.makeBinPath toolbox} \
      --set-default CNI_PATH ${pkgs.cni-plugins}/bin \
      --set-default EVENKEEL_SERVER_IMAGE ${image} \
      --set-default EVENKEEL_PAUSE_IMAGE ${pauseImage} \
      --set-default EVENKEEL_MANIFESTS ${manifests}
  ''
