//! Other products than Greenplum 7, and other sizes of log files.

use rig::{Flavor, StandSpec, load};
use serde_json::json;

use crate::stands;

/// Cloudberry says so in the sentinel, and its servers recover with a signal file. 16 MiB log files are found out.
#[test]
fn cloudberry_comes_back() {
    let spec = StandSpec { flavor: Flavor::Cloudberry2, wal_segment_mib: 16, ..StandSpec::default() };
    let stand = stands::small("cloudberry", &spec);
    load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    stand.damson(&["backup-push"]).ok();
    let detail = &stands::backups(&stand, &["--detail"])[0];
    assert_eq!((&detail["gp_flavor"], &detail["gp_version"]), (&json!("cloudberry"), &json!("cloudberry (2.0.0)")));
    let restored = stand.restore("restored", &["LATEST"]);
    assert_eq!(stands::sums(&restored), before);
}

/// A server that is no Greenplum is told from one.
#[test]
fn plain_postgresql_is_refused() {
    let stand = stands::small("plain", &StandSpec { flavor: Flavor::PostgreSql, ..StandSpec::default() });
    let refused = stand.damson(&["backup-push"]);
    refused.fails(1, &["Greenplum"]);
}
