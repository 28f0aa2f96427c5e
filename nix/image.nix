# The images: one static binary each, at a fixed path, and nothing else.
{
  lib,
  pkgs,
  rust,
}:
let
  inherit ((lib.importTOML ../Cargo.toml).workspace) package;

  image =
    {
      name,
      binary,
      entrypoint,
      description,
      config ? { },
    }:
    let
      source = builtins.unsafeDiscardStringContext "${binary.src}";
    in
    pkgs.dockerTools.buildLayeredImage {
      # A name with a host in it: containerd takes any other for one of a public registry.
      name = "evenkeel.local/${name}";
      # Copied, for a store path inside would change the image whenever the way to the same bytes does.
      extraCommands = "install -D -m 0555 ${lib.getExe binary} ${entrypoint}";
      includeStorePaths = false;
      compressor = "none";
      config = config // {
        Entrypoint = [ "/${entrypoint}" ];
        User = "65532:65532";
        WorkingDir = "/";
        StopSignal = "SIGTERM";
        Labels = lib.mapAttrs' (label: lib.nameValuePair "org.opencontainers.image.${label}") {
          title = entrypoint;
          inherit description;
          inherit (package) version;
          licenses = package.license;
          # The sources of this binary alone, known by their content: a commit that leaves them leaves the image.
          inherit source;
          revision = builtins.substring 11 32 source;
        };
      };
    };
in
{
  server = image {
    name = "server";
    binary = rust.server;
    entrypoint = "evenkeel-server";
    description = "Says which pod answered, and stops without losing a request";
    config.ExposedPorts."3000/tcp" = { };
  };

  pause = image {
    name = "pause";
    binary = rust.pause;
    entrypoint = "pause";
    description = "Holds a pod's namespaces open";
  };
}
