//! In what the releases of the encoder differ, where it shows in their output.

/// One release, or many that make the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    pub header: Header,
    /// Level 4 compares a match with what lies as far from the beginning as the other match is away,
    /// not with the other match. A slip of v1.18.0 that stayed.
    pub level4_slips: bool,
    pub lazy: Lazy,
}

/// How many symbols the header of a block names whose table the next block may use too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// All that deflate has.
    Full,
    /// Those up to the last in use; the end of the block counts for a new table only.
    Trimmed,
    /// Those up to the last in use; the end of the block counts for the old table's size too.
    TrimmedWithEnd,
}

/// What changed in levels 7 to 9. Each has what the one before has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lazy {
    V1_15_11,
    /// Looks for a match with a longer end from its third byte on, and weighs matches otherwise.
    V1_15_15,
    /// The literals that level 9 weighs a match by are those of 32 KiB at most.
    V1_18_2,
    /// A literal that has no code weighs one bit.
    Go1_27,
}

impl Variant {
    /// github.com/klauspost/compress v1.15.11 to v1.17.11; levels 7 to 9 to v1.15.14 only.
    pub const V1_15_11: Variant = Variant { header: Header::Full, level4_slips: false, lazy: Lazy::V1_15_11 };
    /// v1.15.15 to v1.17.11; v1.18.0 but for level 4.
    pub const V1_15_15: Variant = Variant { lazy: Lazy::V1_15_15, ..Variant::V1_15_11 };
    pub const V1_18_0: Variant = Variant { level4_slips: true, ..Variant::V1_15_15 };
    /// Withdrawn, for what levels 7 to 9 made could not always be read.
    pub const V1_18_1: Variant = Variant { header: Header::Trimmed, ..Variant::V1_18_0 };
    /// v1.18.2 to v1.19.1 at least.
    pub const V1_18_2: Variant =
        Variant { header: Header::TrimmedWithEnd, lazy: Lazy::V1_18_2, ..Variant::V1_18_1 };
    /// Go's own compress/flate from 1.27 on.
    pub const GO_1_27: Variant = Variant { lazy: Lazy::Go1_27, ..Variant::V1_18_2 };
}
