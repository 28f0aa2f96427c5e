# Sets of files that really filter, so that a derivation depends on no other file than in earnest.
lib:
let
  under = base: path: path == base || lib.hasPrefix "${base}/" path;
  normal =
    files:
    if files ? matches then
      files
    else
      assert lib.assertMsg (builtins.pathExists files) "there is no ${toString files}";
      let
        base = toString files;
      in
      {
        matches = path: _: under base path;
        inherit base;
      };
in
{
  fileset = {
    unions =
      list:
      let
        sets = map normal list;
      in
      {
        matches = path: type: builtins.any (set: set.matches path type) sets;
        bases = lib.concatMap (set: set.bases or [ set.base ]) sets;
      };
    fileFilter =
      predicate: path:
      let
        inherit (normal path) base;
      in
      {
        inherit base;
        matches =
          file: type:
          under base file
          && (
            type == "directory"
            || predicate {
              inherit type;
              name = baseNameOf file;
              hasExt = extension: lib.hasSuffix ".${extension}" file;
            }
          );
      };
    toSource =
      { root, fileset }:
      builtins.path {
        name = "source";
        path = root;
        filter =
          path: type:
          (type == "directory" && builtins.any (base: under path base) fileset.bases)
          || fileset.matches path type;
      };
  };
}
