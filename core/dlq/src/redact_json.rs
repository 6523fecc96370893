//! Secrets in JSON texts, blanked in place: everything else, the order of keys and the digits of numbers too, stays as written.

use crate::redact::{BLANK, Rules};

enum Level {
    Object { key: Option<String> },
    Array { at: usize },
}

/// The text without its secrets and where they were, or nothing if it has none. `text` must be valid JSON; other text comes
/// back with what could be recognised blanked, never with more.
pub(crate) fn clean(text: &str, rules: &Rules) -> Option<(String, Vec<String>)> {
    let bytes = text.as_bytes();
    let mut levels: Vec<Level> = Vec::new();
    let mut out = String::new();
    let mut places = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'}' | b']' => {
                levels.pop();
                at += 1;
            }
            b',' => {
                match levels.last_mut() {
                    Some(Level::Object { key }) => *key = None,
                    Some(Level::Array { at }) => *at += 1,
                    None => {}
                }
                at += 1;
            }
            b' ' | b'\t' | b'\r' | b'\n' | b':' => at += 1,
            b'"' if matches!(levels.last(), Some(Level::Object { key: None })) => {
                let end = string_end(bytes, at);
                let name = serde_json::from_str(&text[at..end]).unwrap_or_default();
                levels.pop();
                levels.push(Level::Object { key: Some(name) });
                at = end;
            }
            first => {
                if secret_here(&levels, first, rules) {
                    let end = value_end(bytes, at);
                    out.push_str(&text[copied..at]);
                    out.push('"');
                    out.push_str(BLANK);
                    out.push('"');
                    places.push(pointer(&levels));
                    copied = end;
                    at = end;
                } else {
                    at = enter(bytes, at, &mut levels);
                }
            }
        }
    }
    out.push_str(&text[copied..]);
    (!places.is_empty()).then_some((out, places))
}

/// Steps into a container, or over a string or a scalar.
fn enter(bytes: &[u8], at: usize, levels: &mut Vec<Level>) -> usize {
    match bytes[at] {
        b'{' => levels.push(Level::Object { key: None }),
        b'[' => levels.push(Level::Array { at: 0 }),
        _ => return value_end(bytes, at),
    }
    at + 1
}

fn secret_here(levels: &[Level], first: u8, rules: &Rules) -> bool {
    // `"token": null` and `"has_password": true` tell nothing.
    let tells = !matches!(first, b'n' | b't' | b'f');
    let named = matches!(levels.last(), Some(Level::Object { key: Some(name) }) if rules.secret(name));
    (named && tells) || (!rules.pointers.is_empty() && rules.pointers.contains(&pointer(levels)))
}

fn pointer(levels: &[Level]) -> String {
    levels.iter().fold(String::new(), |path, level| match level {
        Level::Object { key } => path + "/" + &escape(key.as_deref().unwrap_or_default()),
        Level::Array { at } => path + "/" + &at.to_string(),
    })
}

/// A name as a step of a JSON pointer.
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Where the string that opens at `at` is over.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// Where the value that begins at `at` is over.
fn value_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0usize;
    let mut end = at;
    while end < bytes.len() {
        match bytes[end] {
            b'"' => end = string_end(bytes, end),
            b'{' | b'[' => {
                depth += 1;
                end += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                end += 1;
            }
            _ => {
                end += 1;
                while depth == 0 && end < bytes.len() && !matches!(bytes[end], b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n') {
                    end += 1;
                }
            }
        }
        if depth == 0 {
            break;
        }
    }
    end
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_all_else_stays_as_written() {
        let text =
            r#"{"z": 1.50, "password": {"a": [1, "}"]}, "kwargs": {"Access-Token": 17 , "n": 123456789012345678901}, "a": ["\"token\":"]}"#;
        let (clean, places) = clean(text, &Rules::default()).unwrap();
        assert_eq!(
            clean,
            r#"{"z": 1.50, "password": "[redacted]", "kwargs": {"Access-Token": "[redacted]" , "n": 123456789012345678901}, "a": ["\"token\":"]}"#
        );
        assert_eq!(places, ["/password", "/kwargs/Access-Token"]);
        assert!(serde_json::from_str::<serde_json::Value>(&clean).is_ok());
    }

    #[test]
    fn pointers_and_names_of_the_policy_count_too() {
        let rules = Rules::new(&["/cards/1/pan".into(), "IBAN".into()]).unwrap();
        let (clean, places) = clean(r#"{"cards":[{"pan":1},{"pan":2}],"my_iban":"DE","ok":true}"#, &rules).unwrap();
        assert_eq!(clean, r#"{"cards":[{"pan":1},{"pan":"[redacted]"}],"my_iban":"[redacted]","ok":true}"#);
        assert_eq!(places, ["/cards/1/pan", "/my_iban"]);
    }

    #[test]
    fn nothing_to_hide_changes_nothing() {
        for text in [r#"{"a":[1,2,{"b":null}]}"#, "[]", "1", "\"password\"", r#"{"token":null,"has_secret":false}"#, ""] {
            assert!(clean(text, &Rules::default()).is_none(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let text = "[".repeat(200_000) + &"]".repeat(200_000);
        assert!(clean(&text, &Rules::default()).is_none());
    }

    #[test]
    fn broken_text_never_panics() {
        for text in ["{\"password\"", "{\"password\":", "\"\\", "{\"password\":\"", "]]}", "{\"é\\\":1"] {
            let _ = clean(text, &Rules::default());
        }
    }
}
