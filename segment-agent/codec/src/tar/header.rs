//! Encodes header blocks byte for byte as Go's `archive/tar` does for WAL-G: ustar where it has room, else PAX records
//! in front of a header whose overflowing fields are cut or zero.

use std::collections::BTreeMap;

use tar::UstarHeader;

use super::{BLOCK_BYTES, Kind, Member, padding};
use crate::Error;

/// Longest ustar prefix of a split name.
const PREFIX_BYTES: usize = 155;
/// Longest ustar name.
const NAME_BYTES: usize = 100;

/// The header blocks of a member: one block, or PAX records before it where ustar has no room.
pub(super) fn encode(member: &Member) -> Result<Vec<u8>, Error> {
    refuse_unwritable(member)?;
    let records = pax_records(member);
    let split = split_name(&member.name);
    let only_a_long_name = records.len() == 1 && records.contains_key("path") && split.is_some();
    if !records.is_empty() && !only_a_long_name {
        return Ok(encode_pax(member, &records));
    }
    let mut header = tar::Header::new_ustar();
    fill(&mut header, member);
    if let (Some((prefix, suffix)), Some(ustar)) = (split, header.as_ustar_mut()) {
        put_text(&mut ustar.name, suffix);
        put_text(&mut ustar.prefix, prefix);
    }
    seal(&mut header);
    Ok(header.as_bytes().to_vec())
}

fn encode_pax(member: &Member, records: &BTreeMap<&str, Vec<u8>>) -> Vec<u8> {
    let mut content = Vec::new();
    for (keyword, value) in records {
        put_record(&mut content, keyword, value);
    }
    let mut blocks = Vec::with_capacity(4 * BLOCK_BYTES);
    let extended = Member {
        name: pax_name(&member.name),
        kind: Kind::Other(b'x'),
        size: content.len() as u64,
        mode: 0,
        ..Member::file("", 0)
    };
    let mut header = tar::Header::new_ustar();
    fill(&mut header, &extended);
    if let Some(ustar) = header.as_ustar_mut() {
        // Go leaves the device fields of this header alone.
        ustar.dev_major = [0; 8];
        ustar.dev_minor = [0; 8];
    }
    seal(&mut header);
    blocks.extend_from_slice(header.as_bytes());
    blocks.extend_from_slice(&content);
    blocks.resize(blocks.len() + padding(content.len() as u64), 0);

    let mut header = tar::Header::new_ustar();
    fill(&mut header, member);
    seal(&mut header);
    blocks.extend_from_slice(header.as_bytes());
    blocks
}

fn refuse_unwritable(member: &Member) -> Result<(), Error> {
    let texts = [&member.name[..], link_target(&member.kind), member.uname.as_bytes(), member.gname.as_bytes()];
    let why = if texts.iter().any(|text| text.contains(&0)) {
        "a name contains a zero byte"
    } else if member.kind == Kind::File && member.name.ends_with(b"/") {
        "the name of a file cannot end with a slash"
    } else if !fits_octal(8, i128::from(member.mode)) {
        "the mode has no room in the header"
    } else {
        return Ok(());
    };
    Err(Error::Unsupported { what: "this archive member", why: format!("{}: {why}", member.name_lossy()) })
}

/// What does not fit into ustar fields, by PAX keyword.
fn pax_records(member: &Member) -> BTreeMap<&'static str, Vec<u8>> {
    let mut records = BTreeMap::new();
    for (keyword, field_bytes, text) in [
        ("path", NAME_BYTES, &member.name[..]),
        ("linkpath", NAME_BYTES, link_target(&member.kind)),
        ("uname", 32, member.uname.as_bytes()),
        ("gname", 32, member.gname.as_bytes()),
    ] {
        if !text.is_ascii() || text.len() > field_bytes {
            records.insert(keyword, text.to_vec());
        }
    }
    for (keyword, field_bytes, number) in [
        ("uid", 8, i128::from(member.uid)),
        ("gid", 8, i128::from(member.gid)),
        ("size", 12, i128::from(member.size)),
        ("mtime", 12, i128::from(member.mtime_secs)),
    ] {
        if !fits_octal(field_bytes, number) {
            records.insert(keyword, number.to_string().into_bytes());
        }
    }
    records
}

/// Fills every field but the checksum; what does not fit is cut (text) or zero (numbers).
fn fill(header: &mut tar::Header, member: &Member) {
    let Some(ustar) = header.as_ustar_mut() else { return };
    let UstarHeader {
        name, mode, uid, gid, size, mtime, typeflag, linkname, uname, gname, dev_major, dev_minor, ..
    } = ustar;
    put_text(name, &ascii_only(&member.name));
    put_text(linkname, &ascii_only(link_target(&member.kind)));
    put_text(uname, &ascii_only(member.uname.as_bytes()));
    put_text(gname, &ascii_only(member.gname.as_bytes()));
    put_octal(mode, i128::from(member.mode));
    put_octal(uid, i128::from(member.uid));
    put_octal(gid, i128::from(member.gid));
    put_octal(size, i128::from(member.size));
    put_octal(mtime, i128::from(member.mtime_secs));
    put_octal(dev_major, 0);
    put_octal(dev_minor, 0);
    typeflag[0] = match member.kind {
        Kind::File => b'0',
        Kind::HardLink(_) => b'1',
        Kind::Symlink(_) => b'2',
        Kind::Directory => b'5',
        Kind::Other(flag) => flag,
    };
}

/// Writes the checksum: six octal digits, a zero byte, a space.
fn seal(header: &mut tar::Header) {
    let sum = checksum(header.as_bytes());
    if let Some(ustar) = header.as_ustar_mut() {
        put_octal(&mut ustar.cksum[..7], i128::from(sum));
        ustar.cksum[7] = b' ';
    }
}

/// Sum of all bytes, with the checksum's own field counted as spaces.
pub(super) fn checksum(block: &[u8; BLOCK_BYTES]) -> u32 {
    let all: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    let own: u32 = block[148..156].iter().map(|&byte| u32::from(byte)).sum();
    all - own + 8 * u32::from(b' ')
}

fn link_target(kind: &Kind) -> &[u8] {
    match kind {
        Kind::Symlink(target) | Kind::HardLink(target) => target,
        _ => &[],
    }
}

fn fits_octal(field_bytes: usize, number: i128) -> bool {
    (0..1 << (3 * (field_bytes - 1))).contains(&number)
}

/// Octal digits with leading zeros and a zero byte at the end.
fn put_octal(field: &mut [u8], number: i128) {
    let mut rest = if fits_octal(field.len(), number) { number } else { 0 };
    let Some((end, digits)) = field.split_last_mut() else { return };
    *end = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
}

/// Copies `text`, cut to the field; a cut that would end in a slash loses its slashes, or readers take a directory.
fn put_text(field: &mut [u8], text: &[u8]) {
    let cut = &text[..text.len().min(field.len())];
    field.fill(0);
    field[..cut.len()].copy_from_slice(cut);
    if text.len() > field.len() && field.ends_with(b"/") {
        let kept = trim_slashes(&field[..field.len() - 1]).len();
        field[kept] = 0;
    }
}

fn trim_slashes(mut name: &[u8]) -> &[u8] {
    while let Some(shorter) = name.strip_suffix(b"/") {
        name = shorter;
    }
    name
}

fn ascii_only(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(u8::is_ascii).collect()
}

/// Splits a name that is too long for its field at a slash, where both halves fit.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME_BYTES || !name.is_ascii() {
        return None;
    }
    let searched =
        if name.len() > PREFIX_BYTES + 1 { &name[..PREFIX_BYTES + 1] } else { name.strip_suffix(b"/").unwrap_or(name) };
    let slash = searched.iter().rposition(|&byte| byte == b'/')?;
    let (prefix, suffix) = (&name[..slash], &name[slash + 1..]);
    let fits = !prefix.is_empty() && prefix.len() <= PREFIX_BYTES && !suffix.is_empty() && suffix.len() <= NAME_BYTES;
    fits.then_some((prefix, suffix))
}

/// The name of the PAX header itself: `<directory>/PaxHeaders.0/<file>`, plain ASCII, cut to its field. Readers ignore it.
fn pax_name(name: &[u8]) -> Vec<u8> {
    let slash = name.iter().rposition(|&byte| byte == b'/');
    let (directory, file) = slash.map_or((&[][..], name), |at| (&name[..at], &name[at + 1..]));
    let mut whole = directory.to_vec();
    if slash.is_some() {
        whole.push(b'/');
    }
    whole.extend_from_slice(b"PaxHeaders.0/");
    whole.extend_from_slice(file);
    let mut whole = ascii_only(&whole);
    whole.truncate(NAME_BYTES);
    trim_slashes(&whole).to_vec()
}

/// `<length> <keyword>=<value>\n`, where the length counts itself.
fn put_record(records: &mut Vec<u8>, keyword: &str, value: &[u8]) {
    let rest = keyword.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {keyword}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}
