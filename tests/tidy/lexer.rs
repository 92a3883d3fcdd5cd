//! Rust without its comments and texts: the same lines, with blanks in their place.

/// Blanks comments and the insides of texts; line breaks stay where they are.
pub(crate) fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = token_end(&chars, at);
        let skipped = end - at > 1 || chars[at] == '"';
        for c in &chars[at..end] {
            code.push(if skipped && *c != '\n' { ' ' } else { *c });
        }
        at = end;
    }
    code
}

/// Where the comment or text that begins here ends; the next character if none begins.
fn token_end(chars: &[char], at: usize) -> usize {
    let two = |a, b| chars[at] == a && chars.get(at + 1) == Some(&b);
    if two('/', '/') {
        return find(chars, at, |rest| rest[0] == '\n');
    }
    if two('/', '*') {
        return block_comment_end(chars, at);
    }
    let inside_name = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    if chars[at] == 'r' && !inside_name {
        return raw_text_end(chars, at).unwrap_or(at + 1);
    }
    match chars[at] {
        '"' => text_end(chars, at, '"'),
        '\'' if two('\'', '\\') || chars.get(at + 2) == Some(&'\'') => text_end(chars, at, '\''),
        _ => at + 1,
    }
}

fn find(chars: &[char], from: usize, end: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|at| end(&chars[*at..])).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at < chars.len() {
        if chars[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if chars[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn text_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_text_end(chars: &[char], from: usize) -> Option<usize> {
    let marks = chars[from + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(from + 1 + marks) != Some(&'"') {
        return None;
    }
    let mut close = vec!['"'];
    close.resize(marks + 1, '#');
    let body = from + marks + 2;
    let end = find(chars, body, |rest| rest.starts_with(&close));
    Some((end + close.len()).min(chars.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_blanked() {
        let text = "a // b\n\"c \\\" d\" e 'f' '\\'' /* g /* h */\n i */ j";
        let code = code_of(text);
        let words: Vec<_> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "e", "j"]);
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn raw_texts_end_at_their_marks_and_lifetimes_are_code() {
        let code = code_of("r#\"a \" b\"# fn f<'x>(y: &'x str) r#type");
        assert_eq!(code.trim(), "fn f<'x>(y: &'x str) r#type");
    }
}
