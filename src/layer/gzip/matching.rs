//! Comparing bytes eight at a time.

/// How many of the first `max` bytes of `a` and `b` are the same; both have at least so many.
#[inline(always)]
pub fn common_prefix(a: &[u8], b: &[u8], max: usize) -> usize {
    let (a, b) = (&a[..max], &b[..max]);
    let mut at = 0;
    let mut words = a.chunks_exact(8).zip(b.chunks_exact(8));
    for (left, right) in &mut words {
        let left = u64::from_le_bytes(left.try_into().expect("eight bytes"));
        let right = u64::from_le_bytes(right.try_into().expect("eight bytes"));
        let differ = left ^ right;
        if differ != 0 {
            return at + (differ.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < max && a[at] == b[at] {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_place() {
        for len in 0..40 {
            for differs_at in 0..=len {
                let a = vec![7; len];
                let mut b = a.clone();
                if let Some(byte) = b.get_mut(differs_at) {
                    *byte = 8;
                }
                assert_eq!(common_prefix(&a, &b, len), differs_at.min(len));
            }
        }
    }
}
