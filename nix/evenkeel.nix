# The CLI with its programs, images and manifests by store path. A wrapper puts the programs on PATH and sets the variables
# that name the rest. The CLI itself becomes root where it must, with these variables.
{
  lib,
  pkgs,
  cli,
  toolbox,
  # The environment variables that name images and manifests.
  variables,
}:
let
  setDefault = name: value: [
    "--set-default"
    name
    "${value}"
  ];
  arguments = [
    # Hints name the wrapper.
    "--inherit-argv0"
    "--prefix"
    "PATH"
    ":"
    (lib.makeBinPath (lib.attrValues toolbox))
  ]
  ++ lib.concatLists (
    lib.mapAttrsToList setDefault (variables // { CNI_PATH = "${toolbox.cni-plugins}/bin"; })
  );
in
pkgs.runCommand "evenkeel-${cli.version}"
  {
    nativeBuildInputs = [ pkgs.makeBinaryWrapper ];
    inherit (cli) version meta;
  }
  ''
    mkdir -p $out
    ln -s ${cli}/share $out/share
    makeWrapper ${lib.getExe cli} $out/bin/evenkeel ${lib.escapeShellArgs arguments}
  ''
