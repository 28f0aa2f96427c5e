# Converts Kubernetes' OpenAPI document to strict JSON schemas: properties that a definition does not name are refused, and
# an int-or-string field accepts both types.
{
  definitions: .definitions | map_values(
    if .format == "int-or-string" then { type: ["integer", "string"] }
    elif has("properties") then . + { additionalProperties: false }
    else . end)
}
