# The images hold what they should and nothing else, run as nobody, say what they are, and are small.
{ lab, check }:
let
  inherit (lab) lib pkgs rust;

  # The whole source of a static binary: no other file can change its bytes, nor its image's digest.
  sources = binary: files: ''
    diff <(cd ${binary.src} && find . -type f | sort) ${pkgs.writeText "sources" (lib.concatLines files)}
  '';

  image =
    {
      archive,
      entrypoint,
      kilobytes,
    }:
    ''
      mkdir ${entrypoint}
      tar -C ${entrypoint} -xf ${archive}
      config=${entrypoint}/$(jq -r '.[0].Config' ${entrypoint}/manifest.json)
      jq --exit-status '
        .config.User == "65532:65532"
        and .config.Entrypoint == ["/${entrypoint}"]
        and .created == "1970-01-01T00:00:01+00:00"
        and ([.config.Labels["org.opencontainers.image." + ("source", "revision", "version", "licenses")]]
          | all(. != null and . != ""))
      ' "$config" >/dev/null
      for layer in $(jq -r '.[0].Layers[]' ${entrypoint}/manifest.json); do
        tar -tf "${entrypoint}/$layer"
      done | grep -v '/$' | sort >${entrypoint}/files
      echo ./${entrypoint} | diff ${entrypoint}/files -
      size=$(stat --dereference --format %s ${archive})
      if [ "$size" -gt ${toString (kilobytes * 1000)} ]; then
        echo "the image of ${entrypoint} takes $size bytes, and ${toString kilobytes} kB are allowed" >&2
        exit 1
      fi
    '';
in
check "images" [ pkgs.jq ] (
  sources rust.server (
    [
      "./Cargo.lock"
      "./Cargo.toml"
      "./src/bin/evenkeel-server.rs"
      "./src/lib.rs"
    ]
    ++ map (file: "./src/server/${file}") (lib.attrNames (builtins.readDir ../src/server))
  )
  + sources rust.pause [
    "./Cargo.lock"
    "./Cargo.toml"
    "./src/bin/evenkeel-pause.rs"
    "./src/lib.rs"
  ]
  + image {
    archive = lab.packages.image;
    entrypoint = "evenkeel-server";
    kilobytes = 2500;
  }
  + image {
    archive = lab.packages.pause-image;
    entrypoint = "pause";
    kilobytes = 1500;
  }
)
