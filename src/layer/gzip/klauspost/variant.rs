//! In what the releases of the encoder differ, where it shows in their output.

/// One release, or many that make the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    pub header: Header,
    /// Level 4 compares a match with what lies at the place that is the other match's distance,
    /// not at the other match. A slip of v1.18.0 that stayed.
    pub level4_slips: bool,
    pub lazy: Lazy,
    pub arithmetic: Arithmetic,
}

/// How many symbols the header of a block names whose table the next block may use too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// All that deflate has.
    Full,
    /// Those up to the last in use; the end of the block counts for the table only.
    Trimmed,
    /// Those up to the last in use; the end of the block counts for sizes too.
    TrimmedWithEnd,
}

/// What changed in levels 7 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lazy {
    /// Up to v1.15.14.
    V1_15_12,
    /// v1.15.15 to v1.18.1.
    V1_15_15,
    /// v1.18.2 on: the literals that level 9 weighs a match by are those of 32 KiB at most.
    V1_18_2,
    /// Go 1.27: besides, a literal that has no code weighs one bit.
    Go1_27,
}

/// How the processor adds a product, which Go leaves to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Product and sum rounded each: x86-64.
    Rounded,
    /// Rounded once: arm64, ppc64le, s390x, riscv64.
    Fused,
}

impl Arithmetic {
    /// Adds the bits of a symbol that occurs `count` times; a time has `per_symbol` of all.
    #[inline(always)]
    pub fn add_cost(self, sum: f32, count: f32, per_symbol: f32) -> f32 {
        let bits = -self.log2(count * per_symbol);
        let bits = if bits < 1.0 {
            1.0
        } else if bits > 15.0 {
            15.0
        } else {
            bits
        };
        self.multiply_add(bits, count, sum)
    }

    /// Roughly the logarithm: the exponent, and a parabola through the mantissa.
    #[inline(always)]
    fn log2(self, value: f32) -> f32 {
        let bits = value.to_bits();
        let exponent = ((bits >> 23 & 255) as i32 - 128) as f32;
        let mantissa = f32::from_bits((bits & 0x807f_ffff).wrapping_add(127 << 23));
        let inner = self.multiply_add(-0.344_848_43, mantissa, 2.024_665_8);
        exponent + self.multiply_add(inner, mantissa, -0.674_877_6)
    }

    #[inline(always)]
    fn multiply_add(self, a: f32, b: f32, sum: f32) -> f32 {
        match self {
            Arithmetic::Rounded => a * b + sum,
            Arithmetic::Fused => a.mul_add(b, sum),
        }
    }
}

impl Variant {
    /// github.com/klauspost/compress v1.15.11 to v1.15.14; to v1.17.11 but for levels 7 to 9.
    pub const V1_15: Variant = Variant {
        header: Header::Full,
        level4_slips: false,
        lazy: Lazy::V1_15_12,
        arithmetic: Arithmetic::Rounded,
    };
    /// v1.15.15 to v1.17.11, and v1.18.0 but for level 4.
    pub const V1_15_15: Variant = Variant { lazy: Lazy::V1_15_15, ..Variant::V1_15 };
    /// v1.18.0.
    pub const V1_18_0: Variant = Variant { level4_slips: true, ..Variant::V1_15_15 };
    /// v1.18.1, which was withdrawn.
    pub const V1_18_1: Variant = Variant { header: Header::Trimmed, ..Variant::V1_18_0 };
    /// v1.18.2 to v1.19.1 at least.
    pub const V1_18_2: Variant =
        Variant { header: Header::TrimmedWithEnd, lazy: Lazy::V1_18_2, ..Variant::V1_18_1 };
    /// Go's own compress/flate from 1.27 on.
    pub const GO_1_27: Variant = Variant { lazy: Lazy::Go1_27, ..Variant::V1_18_2 };
}
