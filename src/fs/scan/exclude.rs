//! What a scan leaves out, as people write it.

use crate::error::Error;
use crate::error::Result;
use globset::GlobSet;

/// Makes exclusions from patterns as people write them.
///
/// `*.log` and `cache/` match at any depth, `/var/cache` and `var/*/x` from the root; `*` stops at
/// slashes, `**` does not.
pub fn exclude<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<GlobSet> {
    let refuse = |pattern: &str, err: globset::Error| {
        Error::invalid(format!("pattern `{pattern}`"), err.kind().to_string())
    };
    let mut set = GlobSet::builder();
    for pattern in patterns {
        let bare = pattern.trim_end_matches('/');
        let anchored = match bare.strip_prefix('/') {
            Some(rest) => rest.to_string(),
            None if bare.contains('/') => bare.to_string(),
            None => format!("**/{bare}"),
        };
        let glob =
            globset::GlobBuilder::new(&anchored).literal_separator(true).backslash_escape(true).build();
        set.add(glob.map_err(|err| refuse(pattern, err))?);
    }
    set.build().map_err(|err| refuse("", err))
}
