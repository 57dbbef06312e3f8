//! The messages of adb's transport: a header of six little-endian words, then the data.
//!
//! ```text
//! command, argument 0, argument 1, data length, sum of the data's bytes, command with all bits turned
//! ```
//!
//! Source: `docs/dev/protocol.md` of Android's `packages/modules/adb`.

use std::io::{self, Read, Write};

pub(super) const CNXN: u32 = u32::from_le_bytes(*b"CNXN");
pub(super) const AUTH: u32 = u32::from_le_bytes(*b"AUTH");
pub(super) const OPEN: u32 = u32::from_le_bytes(*b"OPEN");
pub(super) const OKAY: u32 = u32::from_le_bytes(*b"OKAY");
pub(super) const WRTE: u32 = u32::from_le_bytes(*b"WRTE");
pub(super) const CLSE: u32 = u32::from_le_bytes(*b"CLSE");

/// The protocol's version that no longer checks sums.
pub(super) const VERSION: u32 = 0x0100_0001;

/// The most data that a message may have.
pub(super) const MAX_DATA: u32 = 256 * 1024;

/// One message.
#[derive(Debug, PartialEq)]
pub(super) struct Packet {
    pub(super) command: u32,
    pub(super) arg0: u32,
    pub(super) arg1: u32,
    pub(super) data: Vec<u8>,
}

impl Packet {
    pub(super) fn new(command: u32, arg0: u32, arg1: u32, data: &[u8]) -> Self {
        Self { command, arg0, arg1, data: data.to_vec() }
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut word = || {
            let mut bytes = [0; 4];
            from.read_exact(&mut bytes).map(|()| u32::from_le_bytes(bytes))
        };
        let (command, arg0, arg1, length, _sum, magic) =
            (word()?, word()?, word()?, word()?, word()?, word()?);
        if magic != !command || length > MAX_DATA {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a message of adb"));
        }
        let mut data = vec![0; length as usize];
        from.read_exact(&mut data)?;
        Ok(Self { command, arg0, arg1, data })
    }

    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        // Clients of the older version check it.
        let sum = self.data.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        let words = [self.command, self.arg0, self.arg1, self.data.len() as u32, sum, !self.command];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(&self.data);
        to.write_all(&bytes)
    }
}

#[test]
fn a_packet_survives_the_wire_and_another_magic_does_not() {
    let packet = Packet::new(WRTE, 1, 2, b"text");
    let mut bytes = Vec::new();
    packet.write(&mut bytes).expect("memory");
    assert_eq!(Packet::read(&mut bytes.as_slice()).expect("a packet"), packet);
    bytes[20] ^= 1;
    assert!(Packet::read(&mut bytes.as_slice()).is_err());
}
