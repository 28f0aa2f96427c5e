# The functions of dockerTools that take the same arguments: one makes an archive, the other a program that writes it.
{ package, known }:
let
  layered =
    function: extra: passthru:
    arguments@{ name, ... }:
    assert known function (
      [
        "name"
        "tag"
        "fromImage"
        "contents"
        "config"
        "architecture"
        "created"
        "mtime"
        "uid"
        "gid"
        "uname"
        "gname"
        "maxLayers"
        "extraCommands"
        "fakeRootCommands"
        "enableFakechroot"
        "includeStorePaths"
        "includeNixDB"
        "passthru"
        "meta"
        "layeringPipeline"
        "debug"
      ]
      ++ extra
    ) arguments;
    let
      image = package (baseNameOf name) {
        environment.arguments = builtins.toJSON arguments;
      };
    in
    image
    // passthru
    // {
      imageName = name;
      imageTag = builtins.substring 0 32 (baseNameOf (builtins.unsafeDiscardStringContext image.outPath));
      isExe = true;
    };
in
{
  # In nixpkgs, an archive has the attributes of its stream, `isExe` included.
  buildLayeredImage = layered "buildLayeredImage" [ "compressor" ] { stream = null; };
  streamLayeredImage = layered "streamLayeredImage" [ ] { };
}
