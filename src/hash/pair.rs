//! Two SHA-256 states over the same blocks, by the processor's own instructions where it has them.
//!
//! The two share the message schedule, and their rounds do not wait for each other.

use sha2::block_api::compress256;

pub fn compress(one: &mut [u32; 8], two: &mut [u32; 8], blocks: &[[u8; 64]]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1") {
        // SAFETY: the two features that it needs are there (ssse3 comes with sse4.1).
        unsafe { x86::compress(one, two, blocks) };
        return;
    }
    compress256(one, blocks);
    compress256(two, blocks);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// FIPS 180-4, 4.2.2.
    const K: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, //
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7,
        0xc19bf174, //
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc,
        0x76f988da, //
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351,
        0x14292967, //
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e,
        0x92722c85, //
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585,
        0x106aa070, //
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
        0x682e6ff3, //
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    ];

    /// The two halves of a state as the instructions want them: words a b e f, and c d g h.
    type Halves = (__m128i, __m128i);

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    pub fn compress(one: &mut [u32; 8], two: &mut [u32; 8], blocks: &[[u8; 64]]) {
        let (mut first, mut second) = (split(one), split(two));
        for block in blocks {
            let (first_before, second_before) = (first, second);
            let mut words = load(block);
            for group in 0..16 {
                if group >= 4 {
                    words[group % 4] = schedule(&words, group);
                }
                let keys = _mm_add_epi32(words[group % 4], constants(group));
                first = rounds(first, keys);
                second = rounds(second, keys);
            }
            first = (_mm_add_epi32(first.0, first_before.0), _mm_add_epi32(first.1, first_before.1));
            second = (_mm_add_epi32(second.0, second_before.0), _mm_add_epi32(second.1, second_before.1));
        }
        *one = join(first);
        *two = join(second);
    }

    /// Four rounds.
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn rounds((abef, cdgh): Halves, keys: __m128i) -> Halves {
        let cdgh = _mm_sha256rnds2_epu32(cdgh, abef, keys);
        let abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(keys, 0x0e));
        (abef, cdgh)
    }

    /// The four words of the message schedule for `group`; `words` holds the sixteen before.
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn schedule(words: &[__m128i; 4], group: usize) -> __m128i {
        let back = |count: usize| words[(group + 4 - count) % 4];
        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(back(4), back(3)), _mm_alignr_epi8(back(1), back(2), 4));
        _mm_sha256msg2_epu32(sum, back(1))
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn load(block: &[u8; 64]) -> [__m128i; 4] {
        let word = |at: usize| i32::from_be_bytes(block.as_chunks().0[at]);
        std::array::from_fn(|at| {
            _mm_set_epi32(word(4 * at + 3), word(4 * at + 2), word(4 * at + 1), word(4 * at))
        })
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn constants(group: usize) -> __m128i {
        let word = |at: usize| K[4 * group + at] as i32;
        _mm_set_epi32(word(3), word(2), word(1), word(0))
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn split(state: &[u32; 8]) -> Halves {
        let [a, b, c, d, e, f, g, h] = state.map(|word| word as i32);
        (_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h))
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn join((abef, cdgh): Halves) -> [u32; 8] {
        let words = |half: __m128i| {
            [
                _mm_extract_epi32(half, 3) as u32,
                _mm_extract_epi32(half, 2) as u32,
                _mm_extract_epi32(half, 1) as u32,
                _mm_extract_epi32(half, 0) as u32,
            ]
        };
        let ([a, b, e, f], [c, d, g, h]) = (words(abef), words(cdgh));
        [a, b, c, d, e, f, g, h]
    }
}
