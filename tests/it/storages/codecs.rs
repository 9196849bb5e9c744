//! A cluster comes back from archives and log files of each codec.

use rig::{StandSpec, load};

use crate::stands;

/// A storage of its own for each codec; the setting is changed between backups of one running cluster.
#[test]
fn every_codec_brings_the_rows_back() {
    let mut stand = stands::small("codecs", &StandSpec::default());
    load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    for (method, extension) in [("lz4", ".lz4"), ("zstd", ".zst"), ("brotli", ".br"), ("lzma", ".lzma"), ("none", "")] {
        let store = stand.scratch.dir(format!("store-{method}"));
        stand.set("WALG_FILE_PREFIX", store.to_str().unwrap());
        stand.set("WALG_COMPRESSION_METHOD", method);
        stand.damson(&["backup-push"]).ok();
        let objects = rig::tree::list(&store);
        let archives: Vec<&String> = objects.keys().filter(|path| path.contains(".tar")).collect();
        let logs: Vec<&String> = objects.keys().filter(|path| path.contains("/wal_005/")).collect();
        assert!(archives.len() >= 6 && logs.len() >= 2, "{archives:?} {logs:?}");
        let expected = format!(".tar{extension}");
        assert!(archives.iter().all(|path| path.ends_with(&expected)), "{archives:?}");
        assert!(logs.iter().all(|path| path.ends_with(extension)), "{logs:?}");
        let restored = stand.restore(&format!("restored-{method}"), &["LATEST"]);
        assert_eq!(stands::sums(&restored), before, "{method}");
    }
}
