//! Reports in files: read from JSON, written in any format.

use std::path::Path;

use serde_json::Value;

use super::{Format, Look, OLDEST_SCHEMA_VERSION, Report, SCHEMA_VERSION};
use crate::io_error::IoError;
use crate::report::ReportError;
use crate::write_file::WriteFile;
use evenkeel_measure::count_uniformity_tests;

/// The report in `json`; an error calls it `name`.
///
/// # Errors
/// [`ReportError::BadReport`] for anything that is not a report of this version or of an older one that can be read.
pub fn read(json: &str, name: &str) -> Result<Report, ReportError> {
    let bad = |why: String| ReportError::BadReport { name: name.to_owned(), why };
    if json.trim().is_empty() {
        return Err(bad("it is empty".into()));
    }
    let value: Value = serde_json::from_str(json).map_err(|why| bad(format!("it is not JSON ({why})")))?;
    let version = value.get("schema_version").and_then(Value::as_u64);
    let (Some(version), Some(Value::Array(_))) = (version, value.get("runs")) else {
        return Err(bad("it is JSON, but not a report: a report has a schema_version and runs".into()));
    };
    if !(u64::from(OLDEST_SCHEMA_VERSION)..=u64::from(SCHEMA_VERSION)).contains(&version) {
        let maker = value.get("evenkeel_version").and_then(Value::as_str).unwrap_or("another version");
        return Err(bad(format!(
            "its schema_version is {version} (evenkeel {maker:?} made it), and this evenkeel reads {OLDEST_SCHEMA_VERSION} to \
             {SCHEMA_VERSION}"
        )));
    }
    // Parsed from the text again, so that an error has a line number.
    let mut report: Report =
        serde_json::from_str(json).map_err(|why| bad(format!("it is a report with an error ({why})")))?;
    // What an older version lacks is written as not known.
    report.schema_version = SCHEMA_VERSION;
    // Older reports do not say how many tests there were.
    count_uniformity_tests(&mut report.runs);
    Ok(report)
}

/// Writes the report to `path`, a file that the user named; see [`WriteFile::named`].
///
/// # Errors
/// [`ReportError::Io`].
pub fn write(path: &Path, format: Format, report: &Report) -> Result<(), ReportError> {
    let text = format.export(report, Look::default())?;
    Ok(WriteFile::named().write(path, text.as_bytes()).map_err(|source| IoError::file("write", path, source))?)
}

#[cfg(test)]
mod tests {
    use super::super::{Exporter, Json, sample};
    use super::*;

    fn why(json: &str) -> String {
        match read(json, "report.json") {
            Err(ReportError::BadReport { name, why }) if name == "report.json" => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_a_report_is_refused_with_a_reason() {
        let report = Json.export(&sample::report()).unwrap();
        assert_eq!(read(&report, "report.json").unwrap(), sample::report());
        assert_eq!(why(" \n"), "it is empty");
        assert!(why("{\"schema_version\": 1,").contains("not JSON (EOF"), "{}", why("{"));
        for foreign in ["[]", "1", "null", "{}", "{\"schema_version\": 1}", "{\"schema_version\": 1, \"runs\": 3}"] {
            assert!(why(foreign).contains("JSON, but not a report"), "{foreign}: {}", why(foreign));
        }
        let newer = why("{\"schema_version\": 3, \"evenkeel_version\": \"9.1.0\", \"runs\": []}");
        assert!(newer.contains("is 3") && newer.contains("\"9.1.0\"") && newer.contains("reads 1 to 2"), "{newer}");
        assert!(why("{\"schema_version\": 0, \"runs\": []}").contains("is 0"));
        let damaged = why(&report.replacen("\"connections\": 30", "\"connections\": -30", 1));
        assert!(damaged.contains("with an error") && damaged.contains("line "), "{damaged}");
    }

    #[test]
    fn a_report_without_the_newer_figures_can_still_be_read() {
        let mut old: Value = serde_json::to_value(sample::report()).unwrap();
        old.as_object_mut().unwrap().remove("environment");
        old["schema_version"] = 1.into();
        for run in old["runs"].as_array_mut().unwrap() {
            for newer in ["latency_curve", "latency_histogram", "events", "over_time"] {
                run.as_object_mut().unwrap().remove(newer).unwrap();
            }
            run["spread"]["uniformity"].as_object_mut().unwrap().remove("tests").unwrap();
        }
        let report = read(&old.to_string(), "old.json").unwrap();
        assert_eq!((report.schema_version, &report.runs[0].over_time), (SCHEMA_VERSION, &None));
        let tests = report.runs.iter().map(|run| run.spread.uniformity.unwrap().tests);
        assert_eq!(tests.collect::<Vec<_>>(), [2, 2], "its runs are corrected for, too");
    }
}
