//! Correlation ids.

/// The most characters of a correlation id.
pub const MAX_LENGTH: usize = 128;

/// A new id: UUID version 7 (RFC 9562), so that ids sort by time.
#[must_use]
pub fn mint() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// The id as it came, if it is 1 to 128 characters that no log, header or file can misread.
#[must_use]
pub fn clean(id: &str) -> Option<&str> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=' | b'@');
    ((1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(safe)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_ids_are_refused() {
        for id in ["", "a b", "a\nb", "<script>", "\u{e9}", &"x".repeat(129)] {
            assert_eq!(clean(id), None, "{id:?}");
        }
        assert_eq!(clean("order-7:a/b.c"), Some("order-7:a/b.c"));
        assert!(clean(&mint()).is_some());
    }
}
