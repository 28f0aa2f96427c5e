# Options with types that are checked.
lib:
let
  type = name: check: { inherit name check; };
in
{
  mkOption = option: option // { _type = "option"; };
  literalExpression = text: text;
  types = {
    port = type "a port" (value: builtins.isInt value && value >= 0 && value < 65536);
    strMatching =
      pattern:
      type "a string like ${pattern}" (value: lib.isString value && builtins.match pattern value != null);
    ints = {
      between =
        low: high:
        type "a number from ${toString low} to ${toString high}" (
          value: builtins.isInt value && value >= low && value <= high
        );
      positive = type "a number above 0" (value: builtins.isInt value && value > 0);
    };
  };
}
