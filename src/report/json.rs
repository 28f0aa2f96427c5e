//! The whole report for programs; every other format can be made from it.

use super::{Exporter, Report};
use crate::error::Error;

/// Indented JSON, ending with a line end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Exporter for Json {
    fn export(&self, report: &Report) -> Result<String, Error> {
        let text = serde_json::to_string_pretty(report);
        text.map(|text| text + "\n").map_err(|source| Error::io("write the report as JSON", source.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn says_its_version_and_can_be_read_back() {
        let text = Json.export(&sample::report()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema_version"], 1);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), sample::report());
    }

    #[test]
    fn its_shape_is_pinned() {
        sample::pinned("report_json", &Json.export(&sample::report()).unwrap());
    }
}
