//! Damaged storage: no byte that is not the object's leaves the plugin.

use super::{Bench, Place, STAMP, key, noise};

#[test]
fn plg_025_damage_is_told_before_a_wrong_byte_is_handed_on() {
    for more in [&[][..], &[("WALG_COMPRESSION_METHOD", "none")], &[("WALG_COMPRESSION_METHOD", "zstd")]] {
        let bench = Bench::with("damage", Place::File, more);
        let content = noise(13 << 20);
        bench.store(&key(STAMP, "f"), &content);
        bench.run(&["verify_backup", STAMP]).ok();
        let name = bench.objects(STAMP).into_iter().find(|name| !name.ends_with(".json")).unwrap();
        let path = bench.object(STAMP, &name);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[10 << 20] ^= 4;
        let longer = [&whole[..], b"x"].concat();
        for bytes in [flipped, whole[..whole.len() - 1].to_vec(), whole[..7 << 20].to_vec(), longer, Vec::new()] {
            std::fs::write(&path, &bytes).unwrap();
            let (printed, message) = bench.restore(&key(STAMP, "f")).unwrap_err();
            assert!(content.starts_with(&printed) && printed.len() < content.len() + 1, "{more:?}: {}", printed.len());
            assert!(message.contains(&name) && message.lines().count() == 1, "{message}");
            let verified = bench.run(&["verify_backup", STAMP]).fails(1, &["1 of 1 files"]);
            assert!(verified.stdout.starts_with("DAMAGED  f  "), "{}", verified.report());
        }
        std::fs::remove_file(&path).unwrap();
        assert!(bench.restore(&key(STAMP, "f")).unwrap_err().0.is_empty());
        std::fs::write(&path, &whole).unwrap();
        assert!(bench.restore(&key(STAMP, "f")).unwrap() == content);
    }
}

#[test]
fn a_lost_record_is_told_and_can_be_overruled() {
    for name in ["f", "f.gz"] {
        let bench = Bench::new("record", Place::File);
        bench.store(&key(STAMP, name), b"rows");
        let record = bench.object(STAMP, &format!("{name}.integrity.json"));
        let text = std::fs::read_to_string(&record).unwrap();
        for wrong in
            ["", "{}", &text.replace("\"version\":1", "\"version\":2"), &text.replace("\"size\":4", "\"size\":5000000")]
        {
            std::fs::write(&record, wrong).unwrap();
            let (printed, message) = bench.restore(&key(STAMP, name)).unwrap_err();
            assert!(printed.is_empty() && message.contains("integrity.json"), "{message}");
        }
        std::fs::remove_file(&record).unwrap();
        let (printed, message) = bench.restore(&key(STAMP, name)).unwrap_err();
        assert!(printed.is_empty() && message.contains("restore_unproved"), "{message}");
        let config = std::fs::read_to_string(&bench.config).unwrap();
        bench.write("plugin.yaml", format!("{config}  restore_unproved: on\n").as_bytes());
        assert_eq!(bench.restore(&key(STAMP, name)).unwrap(), b"rows");
    }
}
