//! A filter for x86 code, as xz and 7-Zip have it: the target of a call or jump, which code gives as
//! the distance from where it stands, becomes the place itself. All calls of one function then look
//! the same, and zstd makes 5 per cent less of executables and libraries.
//!
//! Works on one frame alone, in place. Any bytes come back exactly, whether they are code or not.

use memchr::memchr2;

/// `call rel32` and `jmp rel32`.
const CALL: u8 = 0xe8;
const JUMP: u8 = 0xe9;
const INSTRUCTION_BYTES: usize = 5;

/// Fewer targets than one for this many bytes are taken for chance: text and data have hardly any,
/// code one in fifty to a hundred.
const BYTES_PER_TARGET_MAX: usize = 512;

/// Makes targets absolute, if there are enough of them for this to be code; else leaves `bytes` as
/// they were and returns `false`.
pub fn encode(bytes: &mut [u8]) -> bool {
    let targets = convert(bytes, u32::wrapping_add);
    if targets >= (bytes.len() / BYTES_PER_TARGET_MAX).max(1) {
        return true;
    }
    if targets > 0 {
        decode(bytes);
    }
    false
}

pub fn decode(bytes: &mut [u8]) {
    convert(bytes, u32::wrapping_sub);
}

/// Both ways find the same instructions: only numbers of 25 bits with their sign are changed, into
/// such numbers, and what was looked at once, changed or not, is not looked at again.
fn convert(bytes: &mut [u8], change: fn(u32, u32) -> u32) -> usize {
    let mut targets = 0;
    let mut at = 0;
    while let Some(found) = memchr2(CALL, JUMP, &bytes[at..]) {
        at += found;
        let Some(instruction) = bytes[at..].first_chunk_mut::<INSTRUCTION_BYTES>() else { break };
        let [_, distance @ ..] = instruction;
        at += INSTRUCTION_BYTES;
        if !matches!(distance[3], 0 | 0xff) {
            continue;
        }
        let target = change(u32::from_le_bytes(*distance), at as u32);
        // The sign of 25 bits fills the upper ones.
        *distance = (((target << 7) as i32) >> 7).to_le_bytes();
        targets += 1;
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that are often calls.
    fn code() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(CALL), Just(JUMP), Just(0u8), Just(0xff), any::<u8>()];
        prop::collection::vec(byte, 0..200)
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in code()) {
            let mut filtered = bytes.clone();
            if encode(&mut filtered) {
                decode(&mut filtered);
            }
            prop_assert_eq!(&filtered, &bytes);
            // The other way round as well: a frame may hold anything.
            decode(&mut filtered);
            convert(&mut filtered, u32::wrapping_add);
            prop_assert_eq!(filtered, bytes);
        }
    }

    #[test]
    fn calls_of_one_function_become_alike() {
        let mut code = vec![0x90; 100];
        for at in [10usize, 60] {
            let distance = 5_000 - (at as i32 + 5);
            code[at] = CALL;
            code[at + 1..at + 5].copy_from_slice(&distance.to_le_bytes());
        }
        assert!(encode(&mut code));
        assert_eq!(code[10..15], code[60..65]);
        assert_eq!(code[11..15], 5_000i32.to_le_bytes());
    }

    #[test]
    fn text_is_left_alone() {
        let text = "déjà vu, \u{8a9e}\u{4e00} ".repeat(200).into_bytes();
        let mut filtered = text.clone();
        assert!(!encode(&mut filtered));
        assert_eq!(filtered, text);
    }
}
