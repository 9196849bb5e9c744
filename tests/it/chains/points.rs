//! Which point in time a restore ends at.

use rig::{StandSpec, sql};

use crate::stands;

/// The newest point at or before a time, and what lies between the two, told before anything is done.
#[test]
fn gp_028_as_of_tells_what_is_lost() {
    let stand = stands::small("as-of", &StandSpec::default());
    stand.cluster.servers.iter().for_each(|server| drop(sql(server, "create table marks as select 1 a")));
    stand.damson(&["backup-push"]).ok();
    let backup = stands::latest(&stand);
    stand.cluster.servers.iter().for_each(|server| drop(sql(server, "insert into marks values (2)")));
    stand.damson(&["create-restore-point", "evening"]).ok();

    let refused = stand.plan_restore("refused");
    stand.fetch(&refused, &["--as-of", "noon"]).fails(1, &["noon", "--as-of", "RFC 3339"]);
    let both = ["--as-of", "2030-01-01T00:00:00Z", "--restore-point", "evening"];
    stand.fetch(&refused, &both).fails(1, &["both --restore-point and --as-of"]);
    stand.fetch(&refused, &["--as-of", "2001-01-01T00:00:00Z"]).fails(1, &["no restore points found"]);
    // A name without a document may be a typing error, and older servers would recover to the end of the log.
    stand.fetch(&refused, &["LATEST", "--restore-point", "evning"]).fails(1, &["evning", "restore-point-list"]);
    assert!(refused.places.iter().all(|place| !place.data_dir.exists()));

    let restore = stand.plan_restore("restored");
    let fetched = stand.fetch(&restore, &["--as-of", "2099-01-01T00:00:00Z"]).ok();
    let said =
        fetched.stderr.find("restore point evening, finished at ").unwrap_or_else(|| panic!("{}", fetched.report()));
    assert!(fetched.stderr.contains("days") && fetched.stderr.contains("is not restored"), "{}", fetched.report());
    let begun = fetched.stderr.find(&format!("backup {backup}, recovery to evening"));
    let begun = begun.unwrap_or_else(|| panic!("{}", fetched.report()));
    assert!(said < begun, "{}", fetched.report());
    for server in &stand.start_restored(&restore).servers {
        assert_eq!(sql(server, "select max(a) from marks"), "2");
    }
}
