//! Which failures are the same failure: by error type and top frames, or without frames by type and normalised message.

use sha2::{Digest, Sha256};

use crate::failure::{Failure, Frame};

/// Raised whenever the rule changes, so that groups of two rules are never mixed.
pub(crate) const VERSION: u32 = 1;

/// Frames that count. More would split a group by its callers' callers.
const TOP: usize = 5;

/// Sixteen hexadecimal digits.
pub(crate) fn of(failure: &Failure) -> String {
    let mut hash = Sha256::new();
    hash.update(failure.kind.as_bytes());
    let frames = top_frames(&failure.frames);
    if frames.is_empty() {
        hash.update(b"\0message\0");
        hash.update(normalise(&failure.message).as_bytes());
    }
    for frame in frames {
        hash.update(b"\0");
        hash.update(frame.module.as_bytes());
        hash.update(b"\0");
        hash.update(frame.function.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn top_frames(frames: &[Frame]) -> Vec<&Frame> {
    let own: Vec<&Frame> = frames.iter().filter(|frame| frame.in_app == Some(true)).take(TOP).collect();
    if own.is_empty() { frames.iter().take(TOP).collect() } else { own }
}

/// The message without what differs from case to case: quoted text, words with digits (numbers, ids), runs of space.
pub(crate) fn normalise(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut word = String::new();
    let mut chars = message.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        // An apostrophe inside a word ("can't") opens nothing.
        let quote = c == '"' || c == '`' || (c == '\'' && !before.is_alphanumeric());
        if quote && chars.clone().any(|later| later == c) {
            flush(&mut word, &mut out);
            chars.by_ref().take_while(|inside| *inside != c).for_each(drop);
            out.push_str("\"\"");
        } else if c.is_alphanumeric() || (matches!(c, '-' | '_' | '.' | ':') && !word.is_empty()) {
            word.push(c);
        } else {
            flush(&mut word, &mut out);
            if !c.is_whitespace() {
                out.push(c);
            } else if !out.ends_with(' ') {
                out.push(' ');
            }
        }
        before = c;
    }
    flush(&mut word, &mut out);
    out.trim().to_owned()
}

fn flush(word: &mut String, out: &mut String) {
    if word.chars().any(|c| c.is_ascii_digit()) {
        out.push('#')
    } else {
        out.push_str(word)
    }
    word.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(module: &str, function: &str, in_app: Option<bool>) -> Frame {
        Frame { module: module.into(), function: function.into(), in_app, ..Frame::default() }
    }

    #[test]
    fn messages_lose_what_differs() {
        assert_eq!(normalise("order 17 of 'Ada' can't wait 3.5s"), "order # of \"\" can't wait #");
        assert_eq!(normalise("id 018f-33aa:\n  \"x\""), "id # \"\"");
        assert_eq!(normalise("an open ' quote"), "an open ' quote");
    }

    #[test]
    fn frames_group_before_messages() {
        let one = Failure { kind: "E".into(), message: "alpha".into(), frames: vec![frame("bank", "charge", None)], ..Failure::default() };
        let same = Failure { message: "beta".into(), ..one.clone() };
        let other = Failure { frames: vec![frame("bank", "refund", None)], ..one.clone() };
        assert_eq!(of(&one), of(&same));
        assert_ne!(of(&one), of(&other));
        assert_eq!(of(&one).len(), 16);
    }

    #[test]
    fn library_frames_do_not_count_beside_own_ones() {
        let own = frame("app", "pay", Some(true));
        let with = Failure { frames: vec![frame("lib", "send", Some(false)), own.clone()], ..Failure::default() };
        let without = Failure { frames: vec![own], ..Failure::default() };
        assert_eq!(of(&with), of(&without));
    }

    #[test]
    fn without_frames_numbers_do_not_split_a_group() {
        let one = Failure { kind: "E".into(), message: "order 1 failed".into(), ..Failure::default() };
        let two = Failure { message: "order 22 failed".into(), ..one.clone() };
        let other_type = Failure { kind: "F".into(), ..one.clone() };
        assert_eq!(of(&one), of(&two));
        assert_ne!(of(&one), of(&other_type));
    }
}
