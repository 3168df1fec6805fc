//! Names made of hashes: 32-byte ids, one type for each kind of thing, so none stands for another.

use crate::error::Error;
use sha2::Digest as _;
use std::fmt;
use std::str::FromStr;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The SHA-256 of `bytes`.
            pub fn of(bytes: &[u8]) -> $name {
                $name(sha2::Sha256::digest(bytes).into())
            }

            /// The first eight hex digits: enough for a person, not for a key.
            pub fn short(&self) -> String {
                hex(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<$name, Error> {
                let bytes = unhex(text)
                    .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
                    .ok_or_else(|| Error::invalid(format!("{} id `{text}`", $noun), "is not 64 hex digits"))?;
                Ok($name(bytes))
            }
        }
    };
}

id!(
    /// The SHA-256 of the bytes of one file. A blob kept whole is a content too.
    ContentId, "content"
);
id!(
    /// The SHA-256 of a directory node's canonical encoding.
    NodeId, "node"
);
id!(
    /// Like [`NodeId`] but over everything except times: equal when nothing but times differ.
    PlainId, "node"
);
id!(
    /// The SHA-256 of a tree record: root node, hard links, counts.
    TreeId, "tree"
);
id!(
    /// The SHA-256 of a commit's canonical encoding.
    CommitId, "commit"
);
id!(
    /// The SHA-256 of an uncompressed layer tar: `rootfs.diff_ids` of the OCI image config.
    DiffId, "diff"
);
id!(
    /// OCI image-spec config, "Layer ChainID": names a stack of layers.
    ChainId, "chain"
);
id!(
    /// The SHA-256 of a pack's footer, which holds the checksums of everything else in it.
    PackId, "pack"
);

impl DiffId {
    /// Returns the id of the stack that this layer makes on top of `below`.
    pub fn chain_on(&self, below: Option<&ChainId>) -> ChainId {
        match below {
            None => ChainId(self.0),
            Some(below) => ChainId::of(format!("sha256:{below} sha256:{self}").as_bytes()),
        }
    }
}

/// SHA-1 of a content: Mirage's hash, and the one many published hash lists use. Look-ups only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha1Id(pub [u8; 20]);

impl fmt::Display for Sha1Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// Reads lower- or upper-case hex of even length.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16);
    text.as_bytes().chunks(2).map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_id_follows_the_image_spec() {
        let first = DiffId::of(b"a");
        let second = DiffId::of(b"b");
        let chain = second.chain_on(Some(&first.chain_on(None)));
        assert_eq!(chain, ChainId::of(format!("sha256:{first} sha256:{second}").as_bytes()));
    }

    #[test]
    fn hex_there_and_back() {
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert_eq!(unhex("abc"), None);
        assert_eq!(unhex("zz"), None);
    }
}
