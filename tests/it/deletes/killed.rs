//! A deletion that is killed at any step is finished by the next, and until then nothing is listed that is not whole.

use std::time::Duration;

use nix::sys::signal::Signal;
use rig::{S3, Workplace, golden};

use super::keys;

const LIMIT: Duration = Duration::from_secs(60);
const FULL: &str = golden::GREENPLUM6_BACKUPS[0];
const DELTA_1: &str = golden::GREENPLUM6_BACKUPS[1];
const DELTA_2: &str = golden::GREENPLUM6_BACKUPS[2];

/// The golden tree in S3, one object removed by each request.
struct Scene {
    workplace: Workplace,
    s3: S3,
    number: usize,
}

impl Scene {
    fn start() -> Scene {
        let workplace = Workplace::new("del-kill");
        let s3 = S3::start(&workplace.scratch);
        golden::greenplum6(&workplace.scratch);
        Scene { workplace, s3, number: 0 }
    }

    /// A fresh copy of the tree, in use.
    fn renew(&mut self) -> std::path::PathBuf {
        self.number += 1;
        let prefix = format!("tree{}", self.number);
        let mut settings = self.s3.settings(&prefix);
        settings.push(("S3_DELETE_BATCH_SIZE".to_owned(), "1".to_owned()));
        self.workplace.product.write_config(&settings);
        let target = self.s3.bucket_dir().join(prefix);
        let mut copy = rig::User::get().command("cp");
        copy.arg("-a").arg(self.workplace.scratch.join("golden/store")).arg(&target);
        assert!(copy.status().unwrap().success());
        target
    }

    /// Runs the deletion until a request that holds `text` is asked for, and kills it there.
    fn kill_at(&self, text: &str) {
        self.s3.hold(&[text]);
        let before = self.s3.held().len();
        let mut running = self.workplace.product.spawn_damson(&["delete", "target", DELTA_1, "--confirm"]);
        running.wait_until(&format!("{text} is asked for"), LIMIT, |_| self.s3.held().len() > before);
        running.signal(Signal::SIGKILL);
        running.wait(LIMIT);
        self.s3.release();
    }
}

#[test]
fn gp_048_a_killed_deletion_is_finished_by_the_next() {
    let mut scene = Scene::start();
    let undisturbed = scene.renew();
    scene.workplace.damson(&["delete", "target", DELTA_1, "--confirm"]).ok();
    let expected = keys(&undisturbed);
    let removals = scene.s3.asked().iter().filter(|request| is_removal(request)).count();
    assert!(removals > 50, "one request for each object: {removals}");
    // The document before the first removal; the sentinels, one by one; then now and then, and the last ones.
    let numbers = (1..8).chain((8..removals).step_by(11)).chain([removals - 1]);
    let steps = numbers.map(|number| format!("{number} POST *?delete"));
    for step in std::iter::once("PUT *damson_005/deletes/".to_owned()).chain(steps) {
        let store = scene.renew();
        scene.kill_at(&step);
        whole_ones_are_listed(&store, &step);
        let again = scene.workplace.damson(&["delete", "target", DELTA_1, "--confirm"]);
        if again.status != Some(0) {
            // It is not listed any more: whatever is run next finishes.
            again.fails(1, &["does not exist"]);
            scene.workplace.damson(&["delete", "before", FULL, "--confirm"]).ok();
        }
        let left = keys(&store);
        let surplus: Vec<_> = left.difference(&expected).collect();
        let missing: Vec<_> = expected.difference(&left).filter(|key| !key.contains("/wal_005/")).collect();
        assert!(surplus.is_empty() && missing.is_empty(), "{step}: {surplus:#?} {missing:#?}");
    }
}

fn is_removal(request: &str) -> bool {
    request.starts_with("POST ") && request.ends_with("?delete")
}

/// Every backup of the cluster that has a sentinel has that of each segment, and its archives.
fn whole_ones_are_listed(store: &std::path::Path, step: &str) {
    let keys = keys(store);
    let segments = |numbers: [&str; 3]| {
        let folders = ["seg-1", "seg0", "seg1"].into_iter().zip(numbers);
        folders.map(|(folder, name)| format!("segments_005/{folder}/basebackups_005/base_{name}")).collect::<Vec<_>>()
    };
    let zeros = "0000000100000000000000";
    let delta = |a: &str, b: &str| format!("{zeros}{a}_D_{zeros}{b}");
    let (full_c, full) = (format!("{zeros}03"), format!("{zeros}02"));
    let named = [
        (FULL, segments([&full_c, &full, &full])),
        (DELTA_1, segments([&delta("06", "03"), &delta("05", "02"), &delta("05", "02")])),
        (DELTA_2, segments([&delta("0B", "06"), &delta("0A", "05"), &delta("0A", "05")])),
    ];
    for (backup, segments) in named {
        if !keys.contains(&format!("basebackups_005/{backup}_backup_stop_sentinel.json")) {
            continue;
        }
        for segment in segments {
            for part in ["_backup_stop_sentinel.json", "/metadata.json", "/tar_partitions/part_001.tar.zst"] {
                assert!(keys.contains(&format!("{segment}{part}")), "{step}: {backup} lacks {segment}{part}");
            }
        }
    }
}
