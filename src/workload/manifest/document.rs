//! Splits a text into documents, and parses them as kubectl does.

use serde_json::{Map, Number, Value};
use serde_saphyr::Options;

use super::{Manifest, ManifestPlace};
use crate::workload::WorkloadError;

/// Parses all documents of a text, which is from `file`. Empty documents are skipped, and the items of a List become
/// objects of their own.
///
/// # Errors
/// [`WorkloadError::Manifest`] with the document, when it is no YAML or JSON, or no Kubernetes object.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Manifest>, WorkloadError> {
    let mut manifests = Vec::new();
    for (number, text) in documents(text).into_iter().enumerate() {
        let place = ManifestPlace { file: file.to_owned(), document: Some(number + 1) };
        let refused = |why: String| WorkloadError::Manifest { place: place.clone(), why };
        match value(&text).map_err(refused)? {
            Value::Null => {}
            value => objects(&place, value, &mut manifests)?,
        }
    }
    Ok(manifests)
}

/// The documents of a text. Each has empty lines in front, so that the line numbers in its errors are those of the text.
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let after = line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        if let Some(rest) = after {
            let mut next = "\n".repeat(number);
            next.push_str(rest.trim_start());
            documents.push(next);
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
        }
        if let Some(document) = documents.last_mut() {
            document.push('\n');
        }
    }
    // The text before the first separator is a document only if it has content.
    if documents.len() > 1 && documents[0].lines().all(|line| line.trim().is_empty() || line.starts_with(['#', '%'])) {
        documents.remove(0);
    }
    documents
}

/// Parses one document by the rules of YAML 1.1, as kubectl does: `0644` is octal, and `yes` is a boolean.
fn value(text: &str) -> Result<Value, String> {
    let mut options = Options::default();
    options.legacy_octal_numbers = true;
    let parsed = serde_saphyr::from_str_with_options(text, options);
    parsed.map(whole_numbers).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        first.strip_prefix("error: ").unwrap_or(first).to_owned()
    })
}

/// Writes floats without a fraction as integers, as Go's JSON does: `1e3` is 1000.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole_numbers(value: Value) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => {
                Value::Number(Number::from(float as i64))
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(whole_numbers).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (key, whole_numbers(value))).collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn objects(place: &ManifestPlace, value: Value, manifests: &mut Vec<Manifest>) -> Result<(), WorkloadError> {
    let refused = |why: &str| WorkloadError::Manifest { place: place.clone(), why: why.to_owned() };
    let Value::Object(mut fields) = value else {
        return Err(refused("expected a Kubernetes object, found a list or a single value"));
    };
    let text = |fields: &Map<String, Value>, name: &str| match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Null | Value::String(_)) | None => Err(refused(&format!("it has no {name}"))),
        Some(_) => Err(refused(&format!("expected a text as its {name}; quote it"))),
    };
    let (_version, kind) = (text(&fields, "apiVersion")?, text(&fields, "kind")?);
    if kind.ends_with("List") && fields.contains_key("items") {
        return match fields.remove("items") {
            Some(Value::Array(items)) => items.into_iter().try_for_each(|item| objects(place, item, manifests)),
            Some(Value::Null) | None => Ok(()),
            Some(_) => Err(refused("expected a list as its items")),
        };
    }
    let object = serde_json::from_value(Value::Object(fields));
    let object: kube::api::DynamicObject =
        object.map_err(|error| refused(&format!("its metadata is invalid: {error}")))?;
    if object.metadata.name.as_deref().unwrap_or_default().is_empty() {
        let why = if object.metadata.generate_name.is_some() {
            "it has a generateName, and what is applied needs a name"
        } else {
            "it has no name"
        };
        return Err(refused(&format!("{kind}: {why}")));
    }
    manifests.push(Manifest { place: place.clone(), object });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<Manifest> {
        parse("app.yaml", text).unwrap()
    }

    fn refused(text: &str) -> String {
        parse("app.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn empty_documents_are_skipped_and_keep_their_number() {
        let text = "---\n# only a comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n---\n\
                    {\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"c\"}}\n";
        let manifests = parsed(text);
        let seen: Vec<_> = manifests.iter().map(|m| (m.kind(), m.name(), m.place.document)).collect();
        assert_eq!(seen, [("Namespace", "shop", Some(2)), ("ConfigMap", "c", Some(4))]);
        assert!(parsed("").is_empty() && parsed("# nothing\n---\n").is_empty());
        assert_eq!(parsed("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n").len(), 1);
    }

    #[test]
    fn the_items_of_a_list_are_objects_of_their_own() {
        let item = |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}");
        let list = format!("apiVersion: v1\nkind: List\nitems: [{}, {}]\n", item("a"), item("b"));
        let names: Vec<String> = parsed(&list).iter().map(|manifest| manifest.name().to_owned()).collect();
        assert_eq!(names, ["a", "b"]);
        let typed = list.replace("kind: List", "kind: ConfigMapList");
        assert_eq!(parsed(&typed).len(), 2);
    }

    #[test]
    fn scalars_are_read_as_by_kubectl() {
        let data = |value: &str| {
            let text = format!("apiVersion: v1\nkind: X\nmetadata: {{name: a}}\nvalue: {value}\n");
            parsed(&text)[0].object.data["value"].clone()
        };
        for (yaml, json) in [
            ("0644", "420"),
            ("0o644", "420"),
            ("420", "420"),
            ("1e3", "1000"),
            ("1.5", "1.5"),
            ("yes", "true"),
            ("off", "false"),
            ("~", "null"),
            ("\"0644\"", "\"0644\""),
            ("1:30", "\"1:30\""),
            ("2026-01-01", "\"2026-01-01\""),
        ] {
            assert_eq!(data(yaml).to_string(), json, "{yaml}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_document_and_line() {
        let good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n";
        let said = refused(&format!("{good}apiVersion: [v1\n"));
        assert!(said.contains("app.yaml, document 2") && said.contains("line 5"), "{said}");
        for (text, why) in [
            ("- a\n", "found a list"),
            ("kind: Pod\nmetadata: {name: a}\n", "no apiVersion"),
            ("apiVersion: 1\nkind: Pod\n", "quote it"),
            ("apiVersion: v1\nmetadata: {name: a}\n", "no kind"),
            ("apiVersion: v1\nkind: Pod\n", "no name"),
            ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n", "generateName"),
            ("apiVersion: v1\nkind: Pod\nmetadata: {name: 5}\n", "metadata is invalid"),
            ("apiVersion: v1\nkind: A\nkind: B\n", "duplicate"),
        ] {
            assert!(refused(text).contains(why), "{text}: {}", refused(text));
        }
    }
}
