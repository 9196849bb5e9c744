use super::*;

const FULL: &str = "base_000000010000000000000002";
const DELTA: &str = "base_000000010000000000000004_D_000000010000000000000002";

/// `path flags tar`: flags are `w`hole, `i`ncrement, `s`kipped.
fn stored(backup: &str, files: &[(&str, char, &str)], shared: &[(&str, &str, bool, bool)]) -> Stored {
    let mut list = FileList::default();
    for (path, kind, tar) in files {
        let tar = match *tar {
            "" => Tar::None,
            name => {
                let at = list.tars.iter().position(|known| known == name).unwrap_or_else(|| {
                    list.tars.push(name.to_owned());
                    list.tars.len() - 1
                });
                Tar::One(u32::try_from(at).unwrap())
            }
        };
        let record = Record { listed: true, increment: *kind == 'i', skipped: *kind == 's', tar };
        list.records.insert((*path).into(), record);
    }
    let shared = shared.iter().map(|(path, key, reused, increment)| {
        let shared = Shared { key: (*key).to_owned(), reused: *reused, increment: *increment, ..Shared::default() };
        (Box::from(*path), shared)
    });
    let archives = ["part_001.tar", "part_002.tar", "part_003.tar", "pg_control.tar"];
    Stored {
        backup: backup.parse().unwrap(),
        is_delta: backup == DELTA,
        files: Some(list),
        shared: shared.collect(),
        archives: archives.into_iter().zip([1, 3, 2, 1]).map(|(name, size)| (name.to_owned(), size)).collect(),
        promised: Vec::new(),
    }
}

fn plan(levels: Vec<Stored>) -> Result<Vec<LevelPlan>> {
    let mut planner = Planner::new(&|path| !path.contains("dropped"));
    levels.into_iter().map(|level| planner.add(level)).collect()
}

/// Files of archives as `path`, with `+` for an increment and `*` for one that a higher level changes; then shared files.
fn shown(level: &LevelPlan) -> Vec<String> {
    let mark = |path: &str, increment: bool, last: bool| {
        format!("{path}{}{}", if increment { "+" } else { "" }, if last { "" } else { "*" })
    };
    let mut files: Vec<_> = level.wants.iter().map(|(path, want)| mark(path, want.increment, want.last)).collect();
    files.sort();
    let mut shared: Vec<_> = level
        .shared
        .iter()
        .map(|want| format!("{}={}", mark(&want.path, want.shared.increment, want.last), want.shared.key))
        .collect();
    shared.sort();
    files.extend(shared);
    files
}

#[test]
fn each_file_comes_from_where_it_is_whole() {
    let full = stored(
        FULL,
        &[
            ("/a", 'w', "part_001.tar"),
            ("/b", 'w', "part_002.tar"),
            ("/c", 'w', "part_003.tar"),
            ("/gone", 'w', "part_003.tar"),
        ],
        &[],
    );
    let delta = stored(
        DELTA,
        &[("/a", 'w', "part_001.tar"), ("/b", 'i', "part_001.tar"), ("/c", 's', ""), ("/dropped", 'w', "part_002.tar")],
        &[],
    );
    let levels = plan(vec![delta, full]).unwrap();
    assert_eq!(shown(&levels[0]), ["/a", "/b+"]);
    assert_eq!(shown(&levels[1]), ["/b*", "/c"]);
    assert_eq!(levels[0].archives, ["part_001.tar"]);
    // The largest first; what holds nothing that is wanted is not read.
    assert_eq!(levels[1].archives, ["part_002.tar", "part_003.tar"]);
}

#[test]
fn shared_files_come_from_their_own_lists() {
    let full = stored(
        FULL,
        &[("/grown", 'w', ""), ("/same", 'w', ""), ("/again", 'w', ""), ("/unlisted", 'w', "")],
        &[
            ("/grown", "g", false, false),
            ("/same", "s", false, false),
            ("/again", "x", false, false),
            ("/unlisted", "u", false, false),
        ],
    );
    let delta = stored(
        DELTA,
        &[("/grown", 'i', ""), ("/same", 's', ""), ("/again", 'w', ""), ("/unlisted", 's', "")],
        &[("/grown", "g_D_2", false, true), ("/same", "s", true, false), ("/again", "y", false, false)],
    );
    let newest = stored(
        DELTA,
        &[("/grown", 's', ""), ("/same", 's', ""), ("/again", 's', ""), ("/unlisted", 's', "")],
        &[("/grown", "g_D_2", true, true), ("/same", "s", true, false), ("/again", "y", true, false)],
    );
    // WAL-G's deltas are silent about what is unchanged.
    let silent =
        stored(DELTA, &[("/grown", 's', ""), ("/same", 's', ""), ("/again", 's', ""), ("/unlisted", 's', "")], &[]);
    let levels = plan(vec![newest, silent, delta, full]).unwrap();
    assert_eq!(shown(&levels[0]), ["/again=y", "/same=s"]);
    let levels = [&levels[0], &levels[2], &levels[3]];
    assert_eq!(shown(levels[1]), ["/grown+=g_D_2"]);
    assert_eq!(shown(levels[2]), ["/grown*=g", "/unlisted=u"]);
}

#[test]
fn contradictions_are_errors_that_name_the_file() {
    let refused = |levels: Vec<Stored>, backup: &str| {
        let error = plan(levels).err().expect("it should be refused").to_string();
        assert!(error.contains(backup) && error.contains("/a"), "{error}");
    };
    let whole = || stored(FULL, &[("/a", 'w', "part_001.tar")], &[]);
    // The list of shared files has lost an increment, or a whole file.
    refused(vec![stored(DELTA, &[("/a", 'i', ""), ("/b", 'w', "part_001.tar")], &[]), whole()], DELTA);
    refused(vec![stored(DELTA, &[("/a", 'w', ""), ("/b", 'w', "part_001.tar")], &[])], DELTA);
    // The base does not know the file, or holds only a part of it.
    refused(vec![stored(DELTA, &[("/a", 's', "")], &[]), stored(FULL, &[("/b", 'w', "part_001.tar")], &[])], FULL);
    refused(vec![stored(DELTA, &[("/a", 's', "")], &[]), stored(FULL, &[("/a", 's', "")], &[])], FULL);
    refused(vec![stored(FULL, &[("/a", 'i', "part_001.tar")], &[])], FULL);
    refused(vec![stored(FULL, &[("/a", 'w', "")], &[("/a", "k", false, true)])], FULL);
    // A reused increment that the base does not list.
    let reused = || stored(DELTA, &[("/a", 's', "")], &[("/a", "k_D_2", true, true)]);
    refused(vec![reused(), whole()], FULL);
    refused(vec![reused(), stored(FULL, &[("/a", 'w', "")], &[("/a", "k", false, false)])], FULL);
}

#[test]
fn missing_archives_are_errors_only_where_they_are_needed() {
    let full = || stored(FULL, &[("/a", 'w', "part_001.tar"), ("/b", 'w', "part_009.tar")], &[]);
    assert!(plan(vec![full()]).err().unwrap().to_string().contains("part_009.tar"));
    let delta = stored(DELTA, &[("/a", 's', "")], &[]);
    assert_eq!(plan(vec![delta, full()]).unwrap()[1].archives, ["part_001.tar"]);
}

#[test]
fn without_a_list_everything_is_read() {
    let bare = || Stored { files: None, ..stored(FULL, &[], &[("/s", "k", true, false)]) };
    let levels = plan(vec![bare()]).unwrap();
    assert!(levels[0].everything);
    assert_eq!(levels[0].archives, ["part_002.tar", "part_003.tar", "part_001.tar"]);
    assert_eq!(shown(&levels[0]), ["/s=k"]);
    let delta = stored(DELTA, &[("/a", 's', "")], &[]);
    let levels = plan(vec![delta, bare()]).unwrap();
    assert!(!levels[1].everything && levels[1].archives.len() == 3);
    assert_eq!(shown(&levels[1]), ["/a"]);
    // Archives that the list does not know are left alone, but a list without archives tells nothing about them.
    let remote = stored(FULL, &[("/a", 'w', "")], &[]);
    assert_eq!(plan(vec![remote]).unwrap()[0].archives.len(), 3);
}
