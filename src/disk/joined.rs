//! Disks made of others: one after the other, in turns, or of nothing.

use crate::disk::bytes::ReadAt;
use crate::disk::bytes::Span;
use crate::disk::bytes::check;
use crate::error::Error;
use crate::error::Result;
use std::sync::Arc;

/// One disk after the other, the first at 0.
pub struct Joined {
    /// Where each starts, and the disk; none of them empty.
    parts: Vec<(u64, Arc<dyn ReadAt>)>,
    size: u64,
}

impl Joined {
    pub fn new(disks: impl IntoIterator<Item = Arc<dyn ReadAt>>) -> Result<Joined> {
        let mut joined = Joined { parts: Vec::new(), size: 0 };
        for disk in disks.into_iter().filter(|disk| disk.size() > 0) {
            let start = joined.size;
            let size = start.checked_add(disk.size());
            joined.size =
                size.ok_or_else(|| Error::invalid("disk of several parts", "is over 2^64 bytes"))?;
            joined.parts.push((start, disk));
        }
        Ok(joined)
    }

    /// The disk that holds `offset`, below the size, where in it, and how much of it is left.
    fn place(&self, offset: u64) -> (&dyn ReadAt, u64, u64) {
        let part = self.parts.partition_point(|(start, _)| *start <= offset) - 1;
        let (start, disk) = &self.parts[part];
        (&**disk, offset - start, start + disk.size() - offset)
    }
}

impl ReadAt for Joined {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check(self, offset, buffer)?;
        read_pieces(|offset| self.place(offset), offset, buffer)
    }

    fn span(&self, offset: u64) -> Result<Span> {
        span_of_piece(|offset| self.place(offset), self.size, offset)
    }
}

/// Several disks of one size, of which each in turn gives a chunk: RAID 0.
pub struct Striped {
    disks: Vec<Arc<dyn ReadAt>>,
    chunk: u64,
    size: u64,
}

impl Striped {
    /// Every disk is a whole number of chunks long.
    pub fn new(disks: Vec<Arc<dyn ReadAt>>, chunk: u64) -> Result<Striped> {
        let sound = |size: u64| chunk > 0 && size.is_multiple_of(chunk);
        let first = disks.first().map_or(0, |disk| disk.size());
        let size = first.checked_mul(disks.len() as u64);
        match size {
            Some(size) if sound(first) && disks.iter().all(|disk| disk.size() == first) => {
                Ok(Striped { disks, chunk, size })
            }
            _ => Err(Error::invalid("striped disk", format!("has stripes that are no multiple of {chunk}"))),
        }
    }

    /// The disk that holds `offset`, where in it, and how much of the chunk is left.
    fn place(&self, offset: u64) -> (&dyn ReadAt, u64, u64) {
        let (chunk, inside) = (offset / self.chunk, offset % self.chunk);
        let turns = self.disks.len() as u64;
        (&*self.disks[(chunk % turns) as usize], chunk / turns * self.chunk + inside, self.chunk - inside)
    }
}

impl ReadAt for Striped {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check(self, offset, buffer)?;
        read_pieces(|offset| self.place(offset), offset, buffer)
    }

    fn span(&self, offset: u64) -> Result<Span> {
        span_of_piece(|offset| self.place(offset), self.size, offset)
    }
}

/// Reads across the disks that `place` names: for an offset the disk, where in it, and how much is left.
fn read_pieces<'a>(
    place: impl Fn(u64) -> (&'a dyn ReadAt, u64, u64),
    mut offset: u64,
    mut buffer: &mut [u8],
) -> Result<()> {
    while !buffer.is_empty() {
        let (disk, at, left) = place(offset);
        let count = (buffer.len() as u64).min(left) as usize;
        let (now, later) = buffer.split_at_mut(count);
        disk.read_at(at, now)?;
        offset += count as u64;
        buffer = later;
    }
    Ok(())
}

fn span_of_piece<'a>(
    place: impl Fn(u64) -> (&'a dyn ReadAt, u64, u64),
    size: u64,
    offset: u64,
) -> Result<Span> {
    if offset >= size {
        return Ok(Span { end: size, zero: false });
    }
    let (disk, at, left) = place(offset);
    let span = disk.span(at)?;
    Ok(Span { end: offset + left.min(span.end - at), zero: span.zero })
}

/// A disk without a byte.
pub struct Zeros(pub u64);

impl ReadAt for Zeros {
    fn size(&self) -> u64 {
        self.0
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check(self, offset, buffer)?;
        buffer.fill(0);
        Ok(())
    }

    fn span(&self, _: u64) -> Result<Span> {
        Ok(Span { end: self.0, zero: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(bytes: &[u8]) -> Arc<dyn ReadAt> {
        Arc::new(bytes.to_vec())
    }

    fn bytes(disk: &dyn ReadAt) -> Vec<u8> {
        let mut bytes = vec![0; disk.size() as usize];
        disk.read_at(0, &mut bytes).unwrap();
        // Byte by byte is the same.
        for (at, byte) in bytes.iter().enumerate() {
            let mut one = [0];
            disk.read_at(at as u64, &mut one).unwrap();
            assert_eq!(one[0], *byte);
        }
        assert!(disk.read_at(disk.size(), &mut [0]).is_err());
        bytes
    }

    #[test]
    fn parts_follow_each_other() {
        let joined = Joined::new([disk(b"ab"), disk(b""), Arc::new(Zeros(3)), disk(b"cde")]).unwrap();
        assert_eq!(bytes(&joined), b"ab\0\0\0cde");
        assert_eq!(joined.span(0).unwrap(), Span { end: 2, zero: false });
        assert_eq!(joined.span(3).unwrap(), Span { end: 5, zero: true });
        assert_eq!(joined.span(6).unwrap(), Span { end: 8, zero: false });
        assert_eq!(bytes(&Joined::new([]).unwrap()), b"");
        assert!(Joined::new([Arc::new(Zeros(u64::MAX)) as Arc<dyn ReadAt>, disk(b"x")]).is_err());
    }

    #[test]
    fn stripes_take_turns() {
        let striped = Striped::new(vec![disk(b"aabbcc"), disk(b"112233"), Arc::new(Zeros(6))], 2).unwrap();
        assert_eq!(bytes(&striped), b"aa11\0\0bb22\0\0cc33\0\0");
        assert_eq!(striped.span(5).unwrap(), Span { end: 6, zero: true });
        assert_eq!(striped.span(7).unwrap(), Span { end: 8, zero: false });
        for (disks, chunk) in
            [(vec![disk(b"abc")], 2), (vec![disk(b"ab"), disk(b"abcd")], 2), (vec![disk(b"")], 0)]
        {
            assert!(Striped::new(disks, chunk).is_err());
        }
    }
}
