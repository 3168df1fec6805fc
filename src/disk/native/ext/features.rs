//! The features of an ext file system, and which of them stand in the way of reading it.

use crate::error::Error;
use crate::error::Result;

#[derive(Clone, Copy, Debug)]
pub struct Features {
    pub compat: u32,
    pub incompat: u32,
    pub ro_compat: u32,
}

pub const COMPAT_HAS_JOURNAL: u32 = 0x4;
pub const COMPAT_SPARSE_SUPER2: u32 = 0x200;

const INCOMPAT_FILETYPE: u32 = 0x2;
pub const INCOMPAT_RECOVER: u32 = 0x4;
pub const INCOMPAT_META_BG: u32 = 0x10;
pub const INCOMPAT_64BIT: u32 = 0x80;
pub const INCOMPAT_EA_INODE: u32 = 0x400;
pub const INCOMPAT_CSUM_SEED: u32 = 0x2000;
pub const INCOMPAT_LARGEDIR: u32 = 0x4000;

pub const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
pub const RO_COMPAT_HUGE_FILE: u32 = 0x8;
pub const RO_COMPAT_GDT_CSUM: u32 = 0x10;
pub const RO_COMPAT_BIGALLOC: u32 = 0x200;
pub const RO_COMPAT_METADATA_CSUM: u32 = 0x400;

/// What a reader must know of. Unknown `compat` and `ro_compat` features harm nobody who only reads.
const INCOMPAT: &[(u32, &str, bool)] = &[
    (0x1, "compression", false),
    (INCOMPAT_FILETYPE, "filetype", true),
    (INCOMPAT_RECOVER, "needs_recovery", true),
    (0x8, "journal_dev", false),
    (INCOMPAT_META_BG, "meta_bg", true),
    (0x40, "extent", true),
    (INCOMPAT_64BIT, "64bit", true),
    (0x100, "mmp", true),
    (0x200, "flex_bg", true),
    (INCOMPAT_EA_INODE, "ea_inode", true),
    (0x1000, "dirdata", false),
    (INCOMPAT_CSUM_SEED, "metadata_csum_seed", true),
    (INCOMPAT_LARGEDIR, "large_dir", true),
    (0x8000, "inline_data", true),
    // Only what is encrypted is refused, inode by inode.
    (0x10000, "encrypt", true),
    (0x20000, "casefold", true),
];

/// What a kernel's ext3 knows: anything else makes it ext4.
const EXT3_INCOMPAT: u32 = INCOMPAT_FILETYPE | INCOMPAT_RECOVER | INCOMPAT_META_BG;
const EXT3_RO_COMPAT: u32 = RO_COMPAT_SPARSE_SUPER | 0x2 | 0x4;

impl Features {
    pub fn has_incompat(&self, bit: u32) -> bool {
        self.incompat & bit != 0
    }

    pub fn has_ro_compat(&self, bit: u32) -> bool {
        self.ro_compat & bit != 0
    }

    /// The name blkid has for it.
    pub fn kind(&self) -> &'static str {
        if self.incompat & !EXT3_INCOMPAT != 0 || self.ro_compat & !EXT3_RO_COMPAT != 0 {
            "ext4"
        } else if self.compat & COMPAT_HAS_JOURNAL != 0 {
            "ext3"
        } else {
            "ext2"
        }
    }

    /// Refuses what cannot be read here, each feature by its name.
    pub fn check(&self) -> Result<()> {
        let mut refused = Vec::new();
        for bit in (0..32).map(|shift| 1 << shift).filter(|bit| self.incompat & bit != 0) {
            match INCOMPAT.iter().find(|(known, ..)| *known == bit) {
                Some((_, _, true)) => {}
                Some((_, name, false)) => refused.push(name.to_string()),
                None => refused.push(format!("incompat {bit:#x}")),
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        let problem = format!("uses features that are not read here: {}", refused.join(", "));
        Err(Error::invalid(format!("{} file system", self.kind()), problem))
    }
}
