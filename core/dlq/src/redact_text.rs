//! Secrets in running text: `password=x`, `"token": "x"`, `Authorization: Bearer x`, `scheme://user:x@host`, card numbers.

use crate::redact::{BLANK, Rules};

impl Rules {
    /// The text without its secrets, or nothing if it has none.
    pub(crate) fn clean_text(&self, text: &str) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut found = false;
        while let Some(c) = rest.chars().next() {
            let before = out.chars().next_back();
            if let Some((keep, drop)) = self.secret_at(rest, before) {
                out.push_str(&rest[..keep]);
                out.push_str(BLANK);
                rest = &rest[keep + drop..];
                found = true;
            } else {
                let step = if is_name(c) { name_length(rest) } else { c.len_utf8() };
                out.push_str(&rest[..step]);
                rest = &rest[step..];
            }
        }
        found.then_some(out)
    }

    /// How much stays before the secret that begins here, and how long the secret is.
    fn secret_at(&self, rest: &str, before: Option<char>) -> Option<(usize, usize)> {
        if let Some(user) = rest.strip_prefix("://") {
            return credentials(user).map(|(keep, drop)| (keep + 3, drop));
        }
        let starts_word = !before.is_some_and(is_name);
        let name = &rest[..name_length(rest)];
        if !starts_word || name.is_empty() {
            return None;
        }
        if let Some(length) = card_number(rest) {
            return Some((0, length));
        }
        if name.eq_ignore_ascii_case("bearer") {
            let value = rest[name.len()..].trim_start();
            let length = value.find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/=".contains(c))).unwrap_or(value.len());
            // Shorter ones are words: "bearer of".
            return (length >= 8).then(|| (rest.len() - value.len(), length));
        }
        self.secret(name).then(|| named_value(rest, name)).flatten()
    }
}

/// `name = value`, `"name": "value"`, `name: value`: what stays, and the value's length.
fn named_value(rest: &str, name: &str) -> Option<(usize, usize)> {
    let after = rest[name.len()..].trim_start_matches(['"', '\'']).trim_start();
    let value = after.strip_prefix([':', '='])?.trim_start_matches([' ', '\t']);
    if value.starts_with(BLANK) {
        return None;
    }
    let keep = rest.len() - value.len();
    // A quoted value ends with its quote; credentials of a header fill the line; anything else is one word.
    let (lead, length) = match value.chars().next()? {
        quote @ ('"' | '\'') => (1, value[1..].find(quote).unwrap_or(value.len() - 1)),
        _ if whole_line(name) => (0, value.find(['\r', '\n']).unwrap_or(value.len())),
        _ => (0, value.find(|c: char| c.is_whitespace() || ",;&)}]\"'".contains(c)).unwrap_or(value.len())),
    };
    (length > 0).then_some((keep + lead, length))
}

fn whole_line(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("authorization") || name.ends_with("cookie")
}

/// The password in `user:password@host…`, after the scheme.
fn credentials(user: &str) -> Option<(usize, usize)> {
    let authority = &user[..user.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(user.len())];
    let at = authority.rfind('@')?;
    let colon = authority[..at].find(':')?;
    (at > colon + 1 && &authority[colon + 1..at] != BLANK).then_some((colon + 1, at - colon - 1))
}

/// Thirteen to nineteen digits, perhaps in blocks, that pass the Luhn check.
fn card_number(rest: &str) -> Option<usize> {
    let mut digits = Vec::new();
    let mut end = 0;
    for (place, c) in rest.char_indices() {
        match c {
            '0'..='9' => {
                digits.push(c as u8 - b'0');
                end = place + 1;
            }
            ' ' | '-' if end == place && !digits.is_empty() => {}
            _ => break,
        }
        if digits.len() > 19 {
            return None;
        }
    }
    let next = rest[end..].chars().next();
    let luhn = digits.iter().rev().enumerate().map(|(place, digit)| match (place % 2, *digit) {
        (0, digit) => u32::from(digit),
        (_, digit) if digit > 4 => u32::from(digit) * 2 - 9,
        (_, digit) => u32::from(digit) * 2,
    });
    let valid = (13..=19).contains(&digits.len()) && luhn.sum::<u32>().is_multiple_of(10);
    (valid && !next.is_some_and(char::is_alphanumeric)).then_some(end)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !is_name(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str) -> String {
        Rules::default().clean_text(text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn named_values_go() {
        assert_eq!(clean("login failed: password=hunter2, user=ada"), "login failed: password=[redacted], user=ada");
        assert_eq!(clean(r#"body {"access_token": "abc def", "n": 1}"#), r#"body {"access_token": "[redacted]", "n": 1}"#);
        assert_eq!(clean("GET /?api_key=k1&x=2"), "GET /?api_key=[redacted]&x=2");
        assert_eq!(clean("Cookie: a=b; c=d\nnext"), "Cookie: [redacted]\nnext");
        assert_eq!(clean("clientSecret = s3"), "clientSecret = [redacted]");
    }

    #[test]
    fn bearers_credentials_and_cards_go() {
        assert_eq!(clean("sent Bearer abcdef.ghi-123 to bank"), "sent Bearer [redacted] to bank");
        assert_eq!(clean("postgres://ada:pw@db/x refused"), "postgres://ada:[redacted]@db/x refused");
        assert_eq!(clean("card 4111 1111 1111 1111 declined"), "card [redacted] declined");
        assert_eq!(clean("é 4111-1111-1111-1111."), "é [redacted].");
    }

    #[test]
    fn what_only_looks_like_one_stays() {
        for text in ["tokens_used: 17", "the bearer of news", "order 4111111111111112", "no password was given", "http://host:80/a@b", ""] {
            assert_eq!(Rules::default().clean_text(text), None, "{text}");
        }
    }

    #[test]
    fn cleaning_twice_changes_nothing() {
        let once = clean("password=x token: y");
        assert_eq!(clean(&once), once);
    }
}
