//! The processor that a program was made for, from the first bytes of its ELF header.

/// As `uname -m` and libguestfs say it; `None` for what is no program or for a rare machine.
pub fn arch(bytes: &[u8]) -> Option<&'static str> {
    let header = bytes.get(..20)?;
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    let (class, order) = (header[4], header[5]);
    let machine = [header[18], header[19]];
    let machine = match order {
        1 => u16::from_le_bytes(machine),
        2 => u16::from_be_bytes(machine),
        _ => return None,
    };
    Some(match (machine, class, order) {
        (3, ..) => "i386",
        (62, ..) => "x86_64",
        (40, ..) => "arm",
        (183, ..) => "aarch64",
        (20, ..) => "ppc",
        (21, _, 1) => "ppc64le",
        (21, ..) => "ppc64",
        (22, 2, _) => "s390x",
        (22, ..) => "s390",
        (243, 2, _) => "riscv64",
        (243, ..) => "riscv32",
        (258, ..) => "loongarch64",
        (2 | 18, ..) => "sparc",
        (43, ..) => "sparc64",
        (50, ..) => "ia64",
        _ => return None,
    })
}
