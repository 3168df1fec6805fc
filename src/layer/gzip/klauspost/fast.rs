//! Levels 1 to 6 behind one face.

use crate::layer::gzip::klauspost::history::History;
use crate::layer::gzip::klauspost::level1::Level1;
use crate::layer::gzip::klauspost::level2::Level2;
use crate::layer::gzip::klauspost::level3::Level3;
use crate::layer::gzip::klauspost::level4::Level4;
use crate::layer::gzip::klauspost::level5::Level5;
use crate::layer::gzip::klauspost::level6::Level6;
use crate::layer::gzip::klauspost::tokens::Tokens;
use crate::layer::gzip::klauspost::variant::Variant;

pub enum FastSearch {
    Level1(Level1),
    Level2(Level2),
    Level3(Level3),
    Level4(Level4),
    Level5(Level5),
    Level6(Level6),
}

impl FastSearch {
    /// For levels 1 to 6.
    pub fn new(level: i8, variant: Variant) -> FastSearch {
        match level {
            1 => FastSearch::Level1(Level1::new()),
            2 => FastSearch::Level2(Level2::new()),
            3 => FastSearch::Level3(Level3::new()),
            4 => FastSearch::Level4(Level4::new(variant.level4_slips)),
            5 => FastSearch::Level5(Level5::new()),
            _ => FastSearch::Level6(Level6::new()),
        }
    }

    pub fn history(&mut self) -> &mut History {
        match self {
            FastSearch::Level1(level) => level.history(),
            FastSearch::Level2(level) => level.history(),
            FastSearch::Level3(level) => level.history(),
            FastSearch::Level4(level) => level.history(),
            FastSearch::Level5(level) => level.history(),
            FastSearch::Level6(level) => level.history(),
        }
    }

    /// Forgets what was.
    pub fn clear(&mut self) {
        self.history().clear();
    }

    /// Finds the matches in a block of at most 65535 bytes, which may reach back into those before.
    pub fn find(&mut self, block: &[u8], tokens: &mut Tokens) {
        match self {
            FastSearch::Level1(level) => level.find(block, tokens),
            FastSearch::Level2(level) => level.find(block, tokens),
            FastSearch::Level3(level) => level.find(block, tokens),
            FastSearch::Level4(level) => level.find(block, tokens),
            FastSearch::Level5(level) => level.find(block, tokens),
            FastSearch::Level6(level) => level.find(block, tokens),
        }
    }
}
