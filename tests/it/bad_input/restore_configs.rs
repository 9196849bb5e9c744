//! restore_cfg.json, the directories and the hosts that it names.

use rig::{Restore, Stand, StandSpec, User, restore_config};
use serde_json::{Value, json};

use super::refused;
use crate::stands;

/// Writes a changed restore config and tries a restore with it.
#[track_caller]
fn with_text(stand: &Stand, restore: &Restore, text: &str, texts: &[&str]) {
    let config = stand.scratch.write("broken.json", text);
    let restore = Restore { config, ..restore.clone() };
    refused(stand.fetch(&restore, &["LATEST"]), texts);
    let untouched = restore.places.iter().all(|place| !place.data_dir.exists());
    assert!(untouched, "{text}: something was written");
}

#[test]
fn gp_023_broken_restore_configs_are_refused_and_the_right_one_works() {
    let stand = stands::start("rc", &StandSpec::default());
    stand.damson(&["backup-push"]).ok();
    let restore = stand.plan_restore("restored");
    let right: Value = serde_json::from_str(&restore_config(&restore.places)).unwrap();
    let change = |change: &dyn Fn(&mut Value)| {
        let mut document = right.clone();
        change(&mut document["segments"]);
        document.to_string()
    };
    let text = right.to_string();

    with_text(&stand, &restore, "segments: nothing", &["restore config is not valid JSON"]);
    with_text(&stand, &restore, &text[..text.len() / 2], &["restore config is not valid JSON"]);
    with_text(&stand, &restore, "{}", &["restore config has no segments", "expected"]);
    let missing = change(&|segments| drop(segments.as_object_mut().unwrap().remove("1")));
    with_text(&stand, &restore, &missing, &["could not find content ID 1", "add it"]);
    let same_directory = change(&|segments| segments["2"]["data_dir"] = segments["1"]["data_dir"].clone());
    with_text(&stand, &restore, &same_directory, &["content ids 1 and 2", "share data_dir", "give each its own"]);
    let same_port = change(&|segments| segments["2"]["port"] = segments["1"]["port"].clone());
    with_text(&stand, &restore, &same_port, &["content ids 1 and 2", "share port"]);
    let twice = text.replacen("\"2\":", "\"1\":", 1);
    with_text(&stand, &restore, &twice, &["content id 1 stands twice", "keep one"]);
    let no_port = change(&|segments| drop(segments["0"].as_object_mut().unwrap().remove("port")));
    with_text(&stand, &restore, &no_port, &["content id 0", "port is missing"]);
    let relative = change(&|segments| segments["0"]["data_dir"] = json!("data"));
    with_text(&stand, &restore, &relative, &["content id 0", "\"data\" is not absolute"]);
    let no_file = Restore { config: stand.scratch.join("absent.json"), ..restore.clone() };
    refused(stand.fetch(&no_file, &["LATEST"]), &["absent.json", "No such file", "--restore-config"]);
    refused(stand.fetch(&restore, &["LATEST", "--content-ids", "7"]), &["no content id 7", "-1, 0, 1, 2"]);

    stand.fetch(&restore, &["LATEST"]).ok();
    refused(stand.fetch(&restore, &["LATEST"]), &["must be empty", "empty the directory"]);
}

#[test]
fn places_that_cannot_take_a_restore_are_named() {
    let stand = stands::start("places", &StandSpec::default());
    stand.damson(&["backup-push"]).ok();
    let restore = stand.plan_restore("restored");
    let place = restore.places.iter().find(|place| place.content == 1).unwrap();
    let path = place.data_dir.to_str().unwrap().to_string();

    // An unknown host beside three known ones.
    let mut places = restore.places.clone();
    places.iter_mut().find(|place| place.content == 1).unwrap().hostname = "sdw-unknown.invalid".to_string();
    let config = stand.scratch.write("unknown.json", restore_config(&places));
    let unknown = Restore { places, config };
    refused(stand.fetch(&unknown, &["LATEST"]), &["sdw-unknown.invalid", "ssh to it works"]);

    // A directory with somebody's files in it keeps them.
    User::get().make_dir(&place.data_dir);
    User::get().write(&place.data_dir.join("precious"), "1", 0o600);
    let texts = ["content 1", &path, "must be empty", "restore to another one"];
    refused(stand.fetch(&restore, &["LATEST"]), &texts);
    assert_eq!(std::fs::read_to_string(place.data_dir.join("precious")).unwrap(), "1");
    assert_eq!(std::fs::read_dir(&place.data_dir).unwrap().count(), 1);
    std::fs::remove_file(place.data_dir.join("precious")).unwrap();

    // A file where the directory should be.
    std::fs::remove_dir(&place.data_dir).unwrap();
    User::get().write(&place.data_dir, "", 0o600);
    refused(stand.fetch(&restore, &["LATEST"]), &["content 1", &path]);
    std::fs::remove_file(&place.data_dir).unwrap();

    // The failures above stopped the others wherever they were; none is in the way now.
    stand.fetch(&restore, &["LATEST"]).ok();
    let restored = stand.start_restored(&restore);
    assert_eq!(restored.contents(), stand.cluster.contents());
}
