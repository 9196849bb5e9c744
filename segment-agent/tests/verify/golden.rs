//! Backups that nothing is wrong with.

use crate::tree::{PG_DELTA, PG_FULL, PG_TREES, Tree, source, source_until};

#[test]
fn backups_of_single_servers_are_right() {
    for name in PG_TREES {
        let tree = Tree::postgres(name);
        let verified = tree.verify(&[source(PG_FULL), source_until(PG_DELTA, 1, "0/6000028")], false);
        assert_eq!(verified.findings, [], "{name}");
        let [full, delta] = verified.sources.as_slice() else { panic!("{name}: {verified:?}") };
        assert!(delta.objects > full.objects && delta.bytes > full.bytes, "{name}: {verified:?}");
        assert!(!full.has_manifests);
    }
}

#[test]
fn backups_of_a_greenplum_cluster_are_right() {
    for content in [-1, 0, 1] {
        let tree = Tree::greenplum(content);
        let backups = tree.backups();
        assert_eq!(backups.len(), 3);
        let sources: Vec<_> = backups.iter().map(|backup| source(backup)).collect();
        let verified = tree.verify(&sources, true);
        assert_eq!(verified.findings, [], "content {content}");
        assert_eq!(verified.sources.len(), 3);
    }
}

#[test]
fn another_key_is_no_damage() {
    let tree = Tree::postgres("pg15-lz4-libsodium").with_key("0000000000000000000000000000000000000000000=");
    let error = tree.try_verify(&[source(PG_FULL)], false).unwrap_err();
    assert!(error.to_string().contains("decrypts with the configured key"), "{error}");
    assert!(error.remedy().unwrap().contains("WALG_LIBSODIUM_KEY"));
}
