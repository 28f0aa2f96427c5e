//! The whole report for programs. Every other format can be made from it.

use super::{Exporter, Report};
use crate::io_error::IoError;
use crate::report::ReportError;

/// Indented JSON with a final newline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Exporter for Json {
    fn export(&self, report: &Report) -> Result<String, ReportError> {
        let text = serde_json::to_string_pretty(report);
        Ok(text.map(|text| text + "\n").map_err(|source| IoError::new("write the report as JSON", source.into()))?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{node_events, sample};
    use super::*;

    fn schema() -> Value {
        serde_json::from_str(include_str!("../../docs/report.schema.json")).unwrap()
    }

    fn exported(report: &Report) -> Value {
        serde_json::from_str(&Json.export(report).unwrap()).unwrap()
    }

    /// Paths to the parts of `value` that `schema` does not describe.
    fn undescribed(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
        // A nullable value is described by the first of two alternatives.
        let schema = schema["anyOf"].get(0).unwrap_or(schema);
        let schema = match schema["$ref"].as_str() {
            Some(to) => root.pointer(to.trim_start_matches('#')).unwrap(),
            None => schema,
        };
        match value {
            Value::Object(of) if schema["additionalProperties"].is_null() => of
                .iter()
                .flat_map(|(name, value)| match &schema["properties"][name] {
                    Value::Null => vec![format!("{path}/{name}")],
                    described => undescribed(root, described, value, &format!("{path}/{name}")),
                })
                .collect(),
            Value::Array(of) => {
                of.iter().flat_map(|value| undescribed(root, &schema["items"], value, &format!("{path}/*"))).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn it_is_what_the_published_schema_says() {
        let schema = schema();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let mut streams = sample::report();
        streams.runs[0].messages = Some(sample::messages());
        let mut events = sample::report();
        events.runs[0].events = vec![node_events::sample()];
        let several = [sample::report(), sample::three_runs(), sample::three_nodes(), sample::uneven_nodes()];
        for report in several.into_iter().chain([streams, events, Report::new("x", vec![])]) {
            let value = exported(&report);
            let wrong: Vec<String> =
                validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(wrong.is_empty(), "{wrong:#?}");
            let mut undescribed = undescribed(&schema, &schema, &value, "");
            undescribed.dedup();
            assert!(undescribed.is_empty(), "docs/report.schema.json does not describe {undescribed:#?}");
        }
    }

    #[test]
    fn the_published_schema_refuses_what_is_wrong() {
        let validator = jsonschema::draft202012::new(&schema()).unwrap();
        let good = exported(&sample::report());
        let wrong = [
            ("/schema_version", json!(3)),
            ("/runs/0/over_time/bin_seconds", json!(0)),
            ("/runs/0/over_time/pods/0/requests/0", json!(-1)),
            ("/target", json!(null)),
            ("/environment", json!({"kernel": 6})),
            ("/runs", json!({})),
            ("/runs/0/connections", json!(-1)),
            ("/runs/0/replicas", json!("two")),
            ("/runs/0/latency_us/p50", json!("1 ms")),
            ("/runs/0/spread/pods/0", json!({"name": "a"})),
            ("/runs/1/faults/0/second", json!(0.5)),
        ];
        for (path, value) in wrong {
            let mut report = good.clone();
            *report.pointer_mut(path).unwrap() = value;
            assert!(!validator.is_valid(&report), "{path}");
        }
        let mut newer = good;
        newer["runs"][0]["a_newer_figure"] = json!(1);
        assert!(validator.is_valid(&newer), "a reader skips what it does not know");
    }

    #[test]
    fn says_its_version_and_can_be_read_back() {
        let text = Json.export(&sample::report()).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema_version"], 2);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), sample::report());
    }

    #[test]
    fn its_shape_is_pinned() {
        sample::pinned("report_json", &Json.export(&sample::report()).unwrap());
    }
}
