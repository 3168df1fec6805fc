//! `os-release`: lines of shell assignments, by os-release(5).

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Release {
    pub distro: Option<String>,
    pub product: Option<String>,
    pub version: Option<(u32, u32)>,
}

/// Longer ones name nothing.
const VALUE_BYTES_MAX: usize = 256;

pub fn parse(text: &str) -> Release {
    let mut release = Release::default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let Some(value) = unquoted(value) else {
            continue;
        };
        match key {
            "ID" => release.distro = Some(distro(&value).to_owned()),
            "PRETTY_NAME" => release.product = Some(value),
            "VERSION_ID" => release.version = version(&value),
            _ => {}
        }
    }
    release
}

/// One word of shell, quoted or not; `None` where it is empty or no plain text.
fn unquoted(word: &str) -> Option<String> {
    let (quote, inner) = match word.as_bytes() {
        [quote @ (b'"' | b'\''), .., last] if quote == last => (Some(*quote), &word[1..word.len() - 1]),
        _ => (None, word),
    };
    let mut value = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quote != Some(b'\'') => value.push(letters.next()?),
            letter => value.push(letter),
        }
    }
    let is_sound =
        !value.is_empty() && value.len() <= VALUE_BYTES_MAX && !value.chars().any(char::is_control);
    is_sound.then_some(value)
}

/// `12` is 12.0, as libguestfs has it.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next().map_or(Some(0), |minor| minor.parse().ok())?;
    Some((major, minor))
}

/// libguestfs's word where it has another than the distribution.
fn distro(id: &str) -> &str {
    match id {
        "alpine" => "alpinelinux",
        "arch" => "archlinux",
        "kali" => "kalilinux",
        "ol" => "oraclelinux",
        "opensuse-leap" | "opensuse-tumbleweed" => "opensuse",
        "pld" => "pldlinux",
        "void" => "voidlinux",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_as_a_shell_reads_them() {
        let check = |text: &str, distro: Option<&str>, product: Option<&str>, version| {
            let expected =
                Release { distro: distro.map(Into::into), product: product.map(Into::into), version };
            assert_eq!(parse(text), expected, "{text}");
        };
        check(
            "# x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n",
            Some("debian"),
            Some("Debian GNU/Linux 12 (bookworm)"),
            Some((12, 0)),
        );
        check("ID=\"alpine\"\nVERSION_ID=3.20.1\n", Some("alpinelinux"), None, Some((3, 20)));
        check("PRETTY_NAME='a \\ b'\nID=x\\ y", Some("x y"), Some("a \\ b"), None);
        check("ID=\nVERSION_ID=rolling\nPRETTY_NAME=\"a\\\"b\"", None, Some("a\"b"), None);
        check("ID=a\u{7}b\nPRETTY_NAME=\"\nVERSION_ID=99999999999.1", None, Some("\""), None);
        check(&format!("ID={}", "x".repeat(257)), None, None, None);
    }
}
