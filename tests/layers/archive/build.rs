//! Archives in memory, block by block, so that a test can write what no program would.

/// A header block that is being written. It begins as a ustar header with mode 0644 and zeros elsewhere.
#[derive(Clone)]
pub(crate) struct Header([u8; 512]);

impl Header {
    pub(crate) fn new(kind: u8, name: &[u8], size: u64) -> Self {
        Self([0; 512])
            .with(0, name)
            .with(100, b"0000644\0")
            .with(108, b"0000000\0")
            .with(116, b"0000000\0")
            .with(124, format!("{size:011o}\0").as_bytes())
            .with(136, b"00000000000\0")
            .with(156, &[kind])
            .with(257, b"ustar\x0000")
    }

    /// Writes `bytes` at an offset.
    pub(crate) fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Makes it one that GNU tar writes.
    pub(crate) fn gnu(self) -> Self {
        self.with(257, b"ustar  \0")
    }

    /// Returns the block, with the checksum that it has.
    pub(crate) fn done(self) -> Vec<u8> {
        let block = self.with(148, b"        ");
        let sum: u32 = block.0.iter().map(|&byte| u32::from(byte)).sum();
        block.with(148, format!("{sum:06o}\0 ").as_bytes()).0.to_vec()
    }

    /// Returns the block with content after it.
    pub(crate) fn content(self, content: &[u8]) -> Vec<u8> {
        [self.done(), padded(content)].concat()
    }
}

/// Content as it stands in an archive, in whole blocks.
pub(crate) fn padded(content: &[u8]) -> Vec<u8> {
    let mut padded = content.to_vec();
    padded.resize(content.len().next_multiple_of(512), 0);
    padded
}

/// An entry with its content.
pub(crate) fn entry(kind: u8, name: &[u8], content: &[u8]) -> Vec<u8> {
    Header::new(kind, name, content.len() as u64).content(content)
}

/// A record of an extended header.
pub(crate) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// An extended header with these records.
pub(crate) fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let records: Vec<u8> = records.iter().flat_map(|(key, value)| record(key.as_bytes(), value)).collect();
    entry(b'x', b"PaxHeaders/x", &records)
}

/// An archive of these parts, with its end.
pub(crate) fn tar(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}
