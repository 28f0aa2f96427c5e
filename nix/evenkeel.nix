# The CLI with all it needs by store path: it finds its programs, images and manifests where it would look anyway.
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
