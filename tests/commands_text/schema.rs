//! A validator for the part of JSON Schema (draft 2020-12) that
//! `data/progress.schema.json` uses.
//!
//! It knows no other keywords, and panics at one rather than let it pass: a
//! whole validator would bring a hundred crates for one file of ours.

use serde_json::Value;

/// Checks `value` against `schema`, which is a part of `root`.
pub(super) fn validate(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let holds = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            // Looked at together with `properties`.
            "additionalProperties" => {
                assert_eq!(rule, &Value::Bool(false), "the one form that is known");
                let known = schema["properties"].as_object().expect("`properties` is an object");
                value.as_object().is_none_or(|object| object.keys().all(|key| known.contains_key(key)))
            }
            "properties" => {
                for (name, rule) in rule.as_object().expect("`properties` is an object") {
                    if let Some(member) = value.get(name) {
                        validate(root, rule, member).map_err(|why| format!("{name}: {why}"))?;
                    }
                }
                true
            }
            "required" => array(rule).iter().all(|name| value.get(name.as_str().expect("a name")).is_some()),
            "oneOf" => array(rule).iter().filter(|rule| validate(root, rule, value).is_ok()).count() == 1,
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    validate(root, rule, item)?;
                }
                true
            }
            "$ref" => {
                let pointer = rule.as_str().and_then(|text| text.strip_prefix('#')).expect("a reference into the file");
                validate(root, root.pointer(pointer).expect("what is referred to"), value)?;
                true
            }
            "const" => value == rule,
            "enum" => array(rule).contains(value),
            "type" => match rule {
                Value::Array(names) => names.iter().any(|name| is(value, name)),
                name => is(value, name),
            },
            "minimum" => {
                assert_eq!(rule, &Value::from(0), "the one minimum that is known");
                value.is_u64()
            }
            other => panic!("the keyword `{other}` is not known"),
        };
        if !holds {
            return Err(format!("`{value}` breaks `{keyword}`: `{rule}`"));
        }
    }
    Ok(())
}

fn array(rule: &Value) -> &[Value] {
    rule.as_array().expect("the rule is a list")
}

fn is(value: &Value, name: &Value) -> bool {
    match name.as_str().expect("a type has a name") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type `{other}` is not known"),
    }
}
