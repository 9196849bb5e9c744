//! The cycle on S3.

use rig::{StandSpec, Storage, load};

use crate::stands;

/// Parts of this size, so that some objects of a small cluster have several.
const PART_BYTES: u64 = 5 << 20;

/// Rows come back; nothing unfinished is left; an object costs as many requests as it has parts.
#[test]
fn rows_come_back_from_s3() {
    let settings = vec![
        ("S3_MAX_PART_SIZE".to_string(), PART_BYTES.to_string()),
        ("WALG_COMPRESSION_METHOD".to_string(), "none".to_string()),
    ];
    let stand = stands::small("s3", &StandSpec { storage: Storage::S3, settings, ..StandSpec::default() });
    load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    let s3 = stand.s3.as_ref().unwrap();
    assert_eq!(s3.unfinished_uploads(), [""; 0]);
    uploads_are_as_few_as_can_be(&stand, &s3.asked());
    assert_eq!(stands::backups(&stand, &[]).len(), 1);
    assert_eq!(stands::sums(&stand.restore("restored", &["LATEST"])), before);
    assert_eq!(s3.unfinished_uploads(), [""; 0]);
}

/// Every archive smaller than a part is one PUT; every other one is begun and completed once, with the parts its size asks for.
fn uploads_are_as_few_as_can_be(stand: &rig::Stand, asked: &[String]) {
    let objects = rig::tree::list(&stand.store_dir());
    let mut in_parts = 0;
    for (path, entry) in objects.iter().filter(|(path, _)| path.contains("/tar_partitions/")) {
        let rig::tree::Entry::File { size, .. } = entry else { continue };
        let of_object: Vec<_> = asked.iter().filter(|line| line.contains(path.as_str())).collect();
        let count = |method: &str, text: &str| {
            of_object.iter().filter(|line| line.starts_with(method) && line.contains(text)).count() as u64
        };
        let (begun, parts) = (count("POST", "?uploads"), count("PUT", "partNumber="));
        let completed = count("POST", "uploadId=");
        if *size < PART_BYTES {
            assert_eq!((begun, parts, count("PUT", "")), (0, 0, 1), "{path}: {of_object:#?}");
        } else {
            let expected = size.div_ceil(PART_BYTES);
            assert!(parts == expected || parts == expected + 1, "{path}, {size} bytes: {parts} parts");
            assert_eq!((begun, completed), (1, 1), "{path}: {of_object:#?}");
            in_parts += 1;
        }
    }
    assert!(in_parts >= 2, "no object was uploaded in parts");
}
