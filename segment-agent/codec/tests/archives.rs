//! Archives beyond what the golden trees show: PAX, GNU and V7 headers, damage, wrong use.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use codec::Error;
use codec::tar::{ArchiveReader, ArchiveWriter, Kind, Member};
use support::{Trickle, random};

fn member(name: &str, kind: Kind, size: u64) -> Member {
    Member {
        name: name.into(),
        kind,
        size,
        mode: 0o640,
        uid: 1001,
        gid: 1002,
        uname: "gpadmin".to_owned(),
        gname: "gpgroup".to_owned(),
        mtime_secs: 1_795_249_704,
    }
}

fn archive(members: &[(Member, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    for (member, content) in members {
        if member.kind == Kind::File {
            writer.begin_file(member).unwrap();
            writer.write_content(content).unwrap();
            writer.end_file().unwrap();
        } else {
            writer.append_header_only(member).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, Error> {
    let mut reader = ArchiveReader::new(Trickle(bytes));
    let mut members = Vec::new();
    while let Some(member) = reader.next_member()? {
        let mut content = Vec::new();
        let mut buffer = [0; 300];
        loop {
            match reader.read_content(&mut buffer)? {
                0 => break,
                read => content.extend_from_slice(&buffer[..read]),
            }
        }
        members.push((member, content));
    }
    Ok(members)
}

fn unusual_members() -> Vec<(Member, Vec<u8>)> {
    let long = format!("/{}/{}", "d".repeat(90), "f".repeat(90));
    let longest = format!("/{}", "x".repeat(300));
    let file = |name: &str| (member(name, Kind::File, 5), b"12345".to_vec());
    let mut huge_owner = file("/owner");
    huge_owner.0.uid = 4_000_000_000;
    huge_owner.0.gid = 3_000_000;
    huge_owner.0.mtime_secs = -5;
    let mut foreign_owner = file("/foreign");
    foreign_owner.0.uname = "jürgen".to_owned();
    let mut bytes = file("/x");
    bytes.0.name = b"/latin-\xE9".to_vec();
    let mut long_and_foreign = file(&long);
    long_and_foreign.0.gname = "g".repeat(33);
    vec![
        (member("/", Kind::Directory, 0), vec![]),
        (member("/base/", Kind::Directory, 0), vec![]),
        file("bare/name"),
        file(&long),
        file(&longest),
        file("/straße/ü"),
        huge_owner,
        foreign_owner,
        bytes,
        long_and_foreign,
        (member("/pg_wal", Kind::Symlink(b"/mnt/wal".to_vec()), 0), vec![]),
        (member("/far", Kind::Symlink("t/".repeat(80).into_bytes()), 0), vec![]),
        (member("/hard", Kind::HardLink(b"/base".to_vec()), 0), vec![]),
        (member("/fifo", Kind::Other(b'6'), 0), vec![]),
        (member("/empty", Kind::File, 0), vec![]),
        (member("/whole", Kind::File, 1024), random(1024)),
    ]
}

#[test]
fn unusual_members_come_back() {
    let members = unusual_members();
    let bytes = archive(&members);
    assert_eq!(bytes.len() % 512, 0);
    let back = read(&bytes).unwrap();
    for (back, written) in back.iter().zip(&members) {
        assert_eq!(back, written);
    }
    assert_eq!(back.len(), members.len());
}

#[test]
fn another_reader_agrees() {
    let members = unusual_members();
    let bytes = archive(&members);
    let mut other = tar::Archive::new(&bytes[..]);
    let mut count = 0;
    for (entry, (member, content)) in other.entries().unwrap().zip(&members) {
        let mut entry = entry.unwrap();
        assert_eq!(&*entry.path_bytes(), &member.name[..]);
        assert_eq!(entry.header().mode().unwrap(), member.mode);
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut read).unwrap();
        assert_eq!(&read, content);
        count += 1;
    }
    assert_eq!(count, members.len());
}

#[test]
fn ustar_is_used_where_it_has_room() {
    let long = format!("/{}/{}", "d".repeat(90), "f".repeat(90));
    let at_the_limit = Member { uid: 0o7777777, size: 0, ..member(&long, Kind::File, 0) };
    let bytes = archive(&[(at_the_limit, vec![])]);
    assert_eq!(bytes.len(), 512 + 1024);
    assert_eq!(&bytes[345..345 + 91], format!("/{}", "d".repeat(90)).as_bytes());
    assert_eq!(&bytes[257..265], b"ustar\x0000");
}

#[test]
fn pax_records_look_as_go_writes_them() {
    let big = Member { size: 8 << 30, ..member("/base/1/ä", Kind::File, 0) };
    let mut writer = ArchiveWriter::new(Vec::new());
    writer.begin_file(&big).unwrap();
    let mut probe = ArchiveWriter::new(Vec::new());
    probe.begin_file(&Member { size: (8 << 30) - 1, ..member("/base/1/a", Kind::File, 0) }).unwrap();
    assert!(writer.finish().is_err(), "a file is open");
    assert!(probe.finish().is_err());

    let bytes = archive(&[(Member { uid: 1 << 21, ..member("/base/1/ä", Kind::File, 0) }, vec![])]);
    assert_eq!(bytes.len(), 3 * 512 + 1024);
    assert_eq!(&bytes[..22], b"/base/1/PaxHeaders.0\0\0");
    assert_eq!(bytes[156], b'x');
    assert_eq!(&bytes[100..124], b"0000000\x000000000\x000000000\x00");
    assert_eq!(&bytes[329..345], &[0; 16]);
    assert!(bytes[512..].starts_with("19 path=/base/1/ä\n15 uid=2097152\n\0".as_bytes()));
    assert_eq!(&bytes[1024..1034], b"/base/1/\0\0");
    assert_eq!(&bytes[1024 + 108..1024 + 116], b"0000000\0");
}

#[test]
fn gnu_and_v7_headers_are_read() {
    let long = "g".repeat(250);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o600);
    header.set_uid(5_000_000_000);
    builder.append_data(&mut header, &long, &b"abc"[..]).unwrap();
    let mut old = tar::Header::new_old();
    old.set_path("old/").unwrap();
    old.set_entry_type(tar::EntryType::new(0));
    old.set_cksum();
    builder.append(&old, &b""[..]).unwrap();
    let members = read(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(members[0].0.name, long.as_bytes());
    assert_eq!(members[0].0.uid, 5_000_000_000);
    assert_eq!(members[0].1, b"abc");
    assert_eq!((&members[1].0.name[..], &members[1].0.kind), (&b"old/"[..], &Kind::Directory));
}

#[test]
fn missing_trailer_and_padding_are_accepted_and_short_content_is_not() {
    let members = [(member("/a", Kind::File, 700), random(700)), (member("/b", Kind::File, 10), random(10))];
    let bytes = archive(&members);
    let content_end = 512 + 1024 + 512 + 10;
    for cut in 0..=bytes.len() {
        let result = read(&bytes[..cut]);
        let at_a_boundary = [0, 512 + 700].contains(&cut) || (512 + 700..=512 + 1024).contains(&cut);
        let is_whole_member = cut >= content_end || at_a_boundary;
        let in_trailer = cut > bytes.len() - 1024 && cut % 512 != 0;
        match result {
            Ok(read) => assert!(is_whole_member && read.len() <= 2, "{cut}"),
            Err(error) => assert!(!is_whole_member || in_trailer, "{cut}: {error}"),
        }
    }
}

#[test]
fn only_zero_bytes_may_follow_the_trailer() {
    let mut bytes = archive(&[(member("/a", Kind::File, 7), random(7))]);
    bytes.extend_from_slice(&[0; 9000]);
    assert_eq!(read(&bytes).unwrap().len(), 1);
    bytes.push(1);
    assert!(matches!(read(&bytes), Err(Error::Corrupt { .. })));
}

#[test]
fn a_damaged_header_is_refused() {
    let bytes = archive(&[(member("/base/1/1259", Kind::File, 7), random(7))]);
    for bit in 0..512 * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // The checksum's own field has leading zeros and padding that can be spelled otherwise.
        let is_in_checksum = (148..156).contains(&(bit / 8));
        assert!(read(&bad).is_err() || is_in_checksum, "bit {bit}");
    }
}

#[test]
fn content_is_exactly_as_long_as_announced() {
    let mut writer = ArchiveWriter::new(Vec::new());
    assert!(writer.write_content(b"x").is_err());
    assert!(writer.end_file().is_err());
    writer.begin_file(&member("/shrunk", Kind::File, 200_000)).unwrap();
    assert!(writer.begin_file(&member("/other", Kind::File, 1)).is_err());
    writer.write_content(&[7; 1000]).unwrap();
    assert_eq!(writer.content_left(), 199_000);
    assert_eq!(writer.end_file().unwrap(), 199_000);
    writer.begin_file(&member("/grown", Kind::File, 3)).unwrap();
    assert!(matches!(writer.write_content(b"1234"), Err(Error::TooMuchContent { room: 3, offered: 4, .. })));
    writer.write_content(b"123").unwrap();
    assert_eq!(writer.end_file().unwrap(), 0);
    assert!(writer.append_header_only(&member("/sized", Kind::File, 1)).is_err());
    assert!(writer.begin_file(&member("/dir", Kind::Directory, 0)).is_err());
    assert!(writer.begin_file(&member("/ze\0ro", Kind::File, 0)).is_err());

    let members = read(&writer.finish().unwrap()).unwrap();
    assert_eq!(members.len(), 2);
    assert!(members[0].1[..1000] == [7; 1000] && members[0].1[1000..].iter().all(|&byte| byte == 0));
    assert_eq!(members[0].1.len(), 200_000);
}
