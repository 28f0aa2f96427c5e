# Options with types that are checked.
lib:
let
  type = name: check: { inherit name check; };
in
{
  mkOption = option: option // { _type = "option"; };
  literalExpression = text: text;
  types = {
    bool = type "true or false" builtins.isBool;
    str = type "a string" lib.isString;
    enum = values: type "one of ${toString values}" (value: lib.elem value values);
    listOf =
      element:
      type "a list of ${element.name}" (value: builtins.isList value && builtins.all element.check value);
    attrsOf =
      element:
      type "values by name, each ${element.name}" (
        value: builtins.isAttrs value && builtins.all element.check (builtins.attrValues value)
      );
    nullOr = other: type "null or ${other.name}" (value: value == null || other.check value);
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
