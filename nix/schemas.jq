# From Kubernetes' OpenAPI document to strict JSON schemas: what a definition does not name is refused, and a field that
# takes a number or a string takes either.
{
  definitions: .definitions | map_values(
    if .format == "int-or-string" then { type: ["integer", "string"] }
    elif has("properties") then . + { additionalProperties: false }
    else . end)
}
