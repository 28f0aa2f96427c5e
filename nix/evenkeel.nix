# The CLI with its programs, images and manifests by store path. A wrapper puts the programs on PATH and sets the variables
# that name the rest. The CLI itself becomes root where it must, with these variables.
{
  lib,
  pkgs,
  cli,
  toolbox,
  image,
  pauseImage,
  # null for those in the program.
  manifests,
}:
pkgs.runCommand "evenkeel-${cli.version}"
  {
    nativeBuildInputs = [ pkgs.makeBinaryWrapper ];
    inherit (cli) version meta;
  }
  ''
    mkdir -p $out
    ln -s ${cli}/share $out/share
    makeWrapper ${lib.getExe cli} $out/bin/evenkeel ${
      lib.escapeShellArgs (
        [
          "--inherit-argv0"
          "--prefix"
          "PATH"
          ":"
          (lib.makeBinPath (lib.attrValues toolbox))
          "--set-default"
          "CNI_PATH"
          "${toolbox.cni-plugins}/bin"
          "--set-default"
          "EVENKEEL_SERVER_IMAGE"
          "${image}"
          "--set-default"
          "EVENKEEL_PAUSE_IMAGE"
          "${pauseImage}"
        ]
        ++ lib.optionals (manifests != null) [
          "--set-default"
          "EVENKEEL_MANIFESTS"
          "${manifests}"
        ]
      )
    }
  ''
