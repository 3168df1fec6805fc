//! Level 0, bytes as they are, and the level of Huffman codes only (`store`, `storeHuff`).

use super::block::BlockWriter;
use super::block::STORED_BYTES_MAX;
use crate::layer::gzip::encoder::StreamEncoder;

pub struct Plain {
    writer: BlockWriter,
    block: Vec<u8>,
    stored: bool,
}

impl Plain {
    pub fn new(stored: bool) -> Plain {
        Plain { writer: BlockWriter::new(), block: Vec::with_capacity(STORED_BYTES_MAX), stored }
    }

    fn write_block(&mut self, out: &mut Vec<u8>) {
        if self.stored {
            self.writer.write_stored(&self.block, out);
        } else {
            self.writer.write_block_of_literals(&self.block, out);
        }
        self.block.clear();
    }
}

impl StreamEncoder for Plain {
    fn write(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.block.len() == STORED_BYTES_MAX {
                self.write_block(out);
            }
            let room = bytes.len().min(STORED_BYTES_MAX - self.block.len());
            self.block.extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.block.is_empty() {
            self.write_block(out);
        }
        self.writer.finish(out);
    }
}
