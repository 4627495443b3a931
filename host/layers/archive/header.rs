//! One header block of a tar, strictly: the checksum, the numbers in octal or
//! base 256, the names, and which dialect it is written in. It knows no
//! extended headers, and does not read content.
//!
//! ```text
//! name 100 │ mode 8 │ uid 8 │ gid 8 │ size 12 │ mtime 12 │ checksum 8 │ type 1 │ link 100 │ magic 8
//! uname 32 │ gname 32 │ major 8 │ minor 8 │ ustar: prefix 155 │ GNU: atime 12, ctime 12, …, sparse 96, more 1, size 12
//! ```
//!
//! POSIX.1-2017, pax, “ustar Interchange Format”; GNU tar, “Basic Tar Format”.

use super::Error;

/// The size of a block, in bytes. Headers have one, and content is padded to it.
pub(super) const BLOCK_BYTES: usize = 512;

/// A block of a tar.
pub(super) type Block = [u8; BLOCK_BYTES];

/// How a header block is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// Before POSIX: nothing after the link's name counts.
    Old,
    Ustar,
    Gnu,
    /// Schilling's tar: as ustar, with a shorter prefix.
    Star,
}

/// A header block whose checksum is right.
pub(super) struct Header<'b> {
    block: &'b Block,
    dialect: Dialect,
}

impl<'b> Header<'b> {
    /// Reads a block. None if it has only zeros: the end of an archive has two.
    ///
    /// Fails with [`Error::Checksum`].
    pub(super) fn read(block: &'b Block) -> Result<Option<Self>, Error> {
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let stored = octal(&block[148..156]).ok_or(Error::Checksum)?;
        // The checksum counts its own field as spaces. Old tars summed signed bytes.
        let field = |at: usize, byte: u8| if (148..156).contains(&at) { b' ' } else { byte };
        let unsigned: u64 = block.iter().enumerate().map(|(at, &byte)| u64::from(field(at, byte))).sum();
        let signed: i64 = block.iter().enumerate().map(|(at, &byte)| i64::from(field(at, byte).cast_signed())).sum();
        if stored != unsigned && i64::try_from(stored) != Ok(signed) {
            return Err(Error::Checksum);
        }
        let dialect = match &block[257..265] {
            magic if magic.starts_with(b"ustar\0") && &block[508..] == b"tar\0" => Dialect::Star,
            magic if magic.starts_with(b"ustar\0") => Dialect::Ustar,
            b"ustar  \0" => Dialect::Gnu,
            _ => Dialect::Old,
        };
        Ok(Some(Self { block, dialect }))
    }

    pub(super) fn kind(&self) -> u8 {
        self.block[156]
    }

    /// The name, with the prefix of ustar before it.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        let prefix = match self.dialect {
            Dialect::Ustar => text(&self.block[345..500]),
            Dialect::Star => text(&self.block[345..476]),
            Dialect::Gnu => self.mistaken_prefix(),
            Dialect::Old => b"",
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// Before version 1.8, Go wrote headers with GNU's magic and a prefix, which GNU does not have: two times stand
    /// there. Images of those years are still around, and a prefix is hardly ever a number.
    fn mistaken_prefix(&self) -> &'b [u8] {
        let is_time = |field: &[u8]| field[0] == 0 || number(field).is_some();
        let prefix = text(&self.block[345..500]);
        let is_prefix = prefix.is_ascii() && !(is_time(&self.block[345..357]) && is_time(&self.block[357..369]));
        if is_prefix { prefix } else { b"" }
    }

    pub(super) fn link(&self) -> &'b [u8] {
        text(&self.block[157..257])
    }

    /// The bytes that follow the header, without padding.
    pub(super) fn size(&self) -> Result<u64, Error> {
        self.positive(124..136, "size")
    }

    pub(super) fn mode(&self) -> Result<u64, Error> {
        self.positive(100..108, "mode")
    }

    pub(super) fn uid(&self) -> Result<u64, Error> {
        self.positive(108..116, "uid")
    }

    pub(super) fn gid(&self) -> Result<u64, Error> {
        self.positive(116..124, "gid")
    }

    /// Seconds since 1970.
    pub(super) fn mtime(&self) -> Result<i64, Error> {
        number(&self.block[136..148]).ok_or(Error::Number("mtime"))
    }

    /// The major and minor number of a device.
    pub(super) fn device(&self) -> Result<(u32, u32), Error> {
        if self.dialect == Dialect::Old {
            return Ok((0, 0));
        }
        let part = |range, what| u32::try_from(self.positive(range, what)?).map_err(|_| Error::Number(what));
        Ok((part(329..337, "devmajor")?, part(337..345, "devminor")?))
    }

    /// The sparse map of GNU's old form: its four entries, whether more blocks
    /// of them follow, and the size of the file with its holes.
    pub(super) fn sparse(&self) -> Result<(&'b [u8], bool, u64), Error> {
        if self.dialect != Dialect::Gnu {
            return Err(Error::Sparse);
        }
        Ok((&self.block[386..482], self.block[482] != 0, self.positive(483..495, "realsize")?))
    }

    fn positive(&self, range: std::ops::Range<usize>, what: &'static str) -> Result<u64, Error> {
        number(&self.block[range]).and_then(|number| u64::try_from(number).ok()).ok_or(Error::Number(what))
    }
}

/// Returns the text of a field: up to the first zero byte.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Reads a number, in octal or, if the first bit is set, in two's complement of base 256, of which the next bit is the
/// sign.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 == 0 {
        return i64::try_from(octal(field)?).ok();
    }
    let sign = if first & 0x40 == 0 { 0 } else { -64 };
    let value = sign | i64::from(first & 0x3f);
    rest.iter().try_fold(value, |value, &byte| Some(value.checked_mul(256)? | i64::from(byte)))
}

/// Reads an octal number. Spaces may stand before it, spaces and zero bytes after it. Nothing is 0.
fn octal(field: &[u8]) -> Option<u64> {
    let is_padding = |byte: &u8| matches!(byte, 0 | b' ');
    let start = field.iter().position(|&byte| byte != b' ').unwrap_or(field.len());
    let end = start + field[start..].iter().position(is_padding).unwrap_or(field.len() - start);
    if !field[end..].iter().all(is_padding) {
        return None;
    }
    field[start..end].iter().try_fold(0u64, |value, &digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777", Some(0o7777_7777)),
            (b"0000648\0", None),
            (b"00-0644\0", None),
            (b"64\x004\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x80\x01\0\0\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", Some(i64::MIN)),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_noticed() {
        let mut block = [0; BLOCK_BYTES];
        assert!(matches!(Header::read(&block), Ok(None)));
        block[0] = b'a';
        assert!(matches!(Header::read(&block), Err(Error::Checksum)));
        block[148..156].copy_from_slice(b"000541\0 ");
        assert!(matches!(Header::read(&block), Ok(Some(_))));
        block[1] = b'a';
        assert!(matches!(Header::read(&block), Err(Error::Checksum)));
    }
}
