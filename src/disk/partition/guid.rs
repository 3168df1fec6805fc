//! UUIDs as text.

/// A UUID whose bytes stand in the order of its digits: file systems.
pub fn uuid(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A GUID as Microsoft stores it, the first three numbers with their low bytes first: GPT, vhdx.
pub fn guid(bytes: &[u8; 16]) -> String {
    let mut turned = *bytes;
    turned[..4].reverse();
    turned[4..6].reverse();
    turned[6..8].reverse();
    uuid(&turned)
}
