# What this flake uses of nixpkgs' lib; any other name is an error of evaluation.
let
  lib = {
    inherit (builtins)
      any
      attrNames
      attrValues
      concatLists
      concatMap
      concatStringsSep
      elem
      filter
      foldl'
      genList
      head
      isString
      listToAttrs
      mapAttrs
      match
      readFile
      stringLength
      ;
    inherit (import ./fileset.nix lib) fileset;
    inherit (import ./options.nix lib) literalExpression mkOption types;

    escapeShellArgs = arguments: lib.concatMapStringsSep " " (word: "'${word}'") arguments;
    assertMsg = condition: message: if condition then true else throw message;
    concatStrings = lib.concatStringsSep "";
    concatLines = lib.concatMapStrings (line: line + "\n");
    concatMapStrings = f: list: lib.concatStringsSep "" (map f list);
    findFirst =
      predicate: default: list:
      let
        found = builtins.filter predicate list;
      in
      if found == [ ] then default else lib.head found;
    genAttrs = names: f: lib.listToAttrs (map (name: lib.nameValuePair name (f name)) names);
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    hasPrefix = prefix: text: builtins.substring 0 (lib.stringLength prefix) text == prefix;
    hasSuffix =
      suffix: text:
      let
        start = lib.stringLength text - lib.stringLength suffix;
      in
      start >= 0 && builtins.substring start (-1) text == suffix;
    importTOML = file: fromTOML (builtins.readFile file);
    licenses.asl20.spdxId = "Apache-2.0";
    makeBinPath = lib.concatMapStringsSep ":" (package: "${package}/bin");
    concatMapStringsSep =
      separator: f: list:
      lib.concatStringsSep separator (map f list);
    mapAttrs' = f: set: lib.listToAttrs (lib.mapAttrsToList f set);
    mapAttrsToList = f: set: map (name: f name set.${name}) (lib.attrNames set);
    max = a: b: if a > b then a else b;
    nameValuePair = name: value: { inherit name value; };
    optional = condition: value: if condition then [ value ] else [ ];
    optionalAttrs = condition: set: if condition then set else { };
    optionalString = condition: text: if condition then text else "";
    optionals = condition: list: if condition then list else [ ];
    recursiveUpdate =
      left: right:
      if builtins.isAttrs left && builtins.isAttrs right then
        left
        // lib.mapAttrs (
          name: value: if left ? ${name} then lib.recursiveUpdate left.${name} value else value
        ) right
      else
        right;
    splitString = separator: text: builtins.filter lib.isString (builtins.split separator text);
    toInt = builtins.fromJSON;
    versionAtLeast = version: least: builtins.compareVersions version least >= 0;
    versions = {
      major = version: lib.head (builtins.splitVersion version);
      minor = version: builtins.elemAt (builtins.splitVersion version) 1;
      majorMinor = version: "${lib.versions.major version}.${lib.versions.minor version}";
    };
    toLower =
      let
        upper = lib.genList (n: builtins.substring n 1 "ABCDEFGHIJKLMNOPQRSTUVWXYZ") 26;
        lower = lib.genList (n: builtins.substring n 1 "abcdefghijklmnopqrstuvwxyz") 26;
      in
      builtins.replaceStrings upper lower;
  };
in
lib
