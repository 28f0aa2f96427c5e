# Checks that each image contains one file, runs as nobody, has its labels, and is small.
{ lab, check }:
let
  inherit (lab) pkgs rust;

  # Checks that the source of a binary has only the files it is built from: no other file can change the image's digest.
  # Cargo reads the manifests of all crates.
  sources = binary: own: ''
    if (cd ${binary.src} && find . -type f) |
      grep -vE '^\./(Cargo\.(lock|toml)|crates/[a-z]+/Cargo\.toml|crates/${own})$'
    then
      echo "the files above are in the source of ${binary.pname}, and must not be" >&2
      exit 1
    fi
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
        and ([.config.Labels["org.opencontainers.image." + ("revision", "version", "licenses")]]
          | all(. != null and . != ""))
      ' "$config" >/dev/null
      for layer in $(jq -r '.[0].Layers[]' ${entrypoint}/manifest.json); do
        tar -tf "${entrypoint}/$layer"
      done | grep -v '/$' | sort >${entrypoint}/files
      echo ./${entrypoint} | diff ${entrypoint}/files -
      size=$(stat --dereference --format %s ${archive})
      if [ "$size" -gt ${toString (kilobytes * 1000)} ]; then
        echo "the image of ${entrypoint} has $size bytes, expected at most ${toString kilobytes} kB" >&2
        exit 1
      fi
    '';
in
check "images" [ pkgs.jq ] (
  sources rust.server "server/src/.*"
  + sources rust.pause "server/src/bin/evenkeel-pause\\.rs"
  + sources rust.agent "(agent|load)/src/.*"
  + image {
    archive = lab.packages.image;
    entrypoint = "evenkeel-server";
    kilobytes = 3500;
  }
  + image {
    archive = lab.packages.agent-image;
    entrypoint = "evenkeel-agent";
    kilobytes = 4000;
  }
  + image {
    archive = lab.packages.pause-image;
    entrypoint = "pause";
    kilobytes = 1500;
  }
)
