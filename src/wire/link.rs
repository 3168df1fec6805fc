//! Paging: the `Link` header's `rel="next"`. RFC 8288.

/// The target of the first link that is the next page, as it is written; the caller resolves it.
pub fn next<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    values.into_iter().find_map(next_in)
}

fn next_in(mut rest: &str) -> Option<&str> {
    while let Some(start) = rest.find('<') {
        let target = &rest[start + 1..];
        let end = target.find('>')?;
        let params = &target[end + 1..];
        // A comma inside of quotes does not end a link, but nobody quotes one there.
        let stop = params.find(",").unwrap_or(params.len());
        if params[..stop].split(';').any(is_next) {
            return Some(&target[..end]);
        }
        rest = &params[stop..];
    }
    None
}

fn is_next(param: &str) -> bool {
    let Some((name, value)) = param.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("rel")
        && value
            .trim()
            .trim_matches('"')
            .split_ascii_whitespace()
            .any(|word| word.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page() {
        for (value, expected) in [
            (r#"</v2/a/tags/list?last=b&n=2>; rel="next""#, Some("/v2/a/tags/list?last=b&n=2")),
            (r#"<https://h/v2/_catalog?last=x,y>; rel=next"#, Some("https://h/v2/_catalog?last=x,y")),
            (r#"<a>; rel="prev", <b>; title="x"; REL="last Next""#, Some("b")),
            (r#"<a>; rel="prev""#, None),
            ("<a", None),
            ("<a>", None),
            ("", None),
            (r#"a; rel="next""#, None),
        ] {
            assert_eq!(next([value]), expected, "{value}");
        }
        assert_eq!(next(["<a>", "<b>;rel=next"]), Some("b"));
    }
}
