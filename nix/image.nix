# The images: each contains one static binary at a fixed path, and nothing else.
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
    pkgs.dockerTools.buildLayeredImage {
      # The name begins with a host. containerd would take any other name for an image of Docker Hub.
      name = "evenkeel.local/${name}";
      # The binary is copied. A store path in the image would change when only the derivation changes, and not the bytes.
      extraCommands = "install -D -m 0555 ${lib.getExe binary} ${entrypoint}";
      includeStorePaths = false;
      compressor = "none";
      config = config // {
        Entrypoint = [ "/${entrypoint}" ];
        User = "65532:65532";
        WorkingDir = "/";
        StopSignal = "SIGTERM";
        Labels = lib.mapAttrs' (label: lib.nameValuePair "org.opencontainers.image.${label}") (
          {
            title = entrypoint;
            inherit description;
            inherit (package) version;
            licenses = package.license;
            # The sources of this binary, identified by their content. A commit that does not change them does not change the
            # image.
            revision = builtins.substring 11 32 (builtins.unsafeDiscardStringContext "${binary.src}");
          }
          // lib.optionalAttrs (package ? repository) { source = package.repository; }
        );
      };
    };
in
{
  server = image {
    name = "server";
    binary = rust.server;
    entrypoint = "evenkeel-server";
    description = "A server whose responses name the pod, and which stops without losing a request";
    config.ExposedPorts."3000/tcp" = { };
  };

  agent = image {
    name = "agent";
    binary = rust.agent;
    entrypoint = "evenkeel-agent";
    description = "Sends a part of the load of a test";
  };

  pause = image {
    name = "pause";
    binary = rust.pause;
    entrypoint = "pause";
    description = "Keeps the namespaces of a pod open";
  };
}
