use super::*;

fn name(text: &str) -> BackupName {
    BackupName::new(text).unwrap()
}

fn time(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(minute * 60, 0).unwrap()
}

/// Two chains: full 1, deltas 2 and 3 of it; full 4, delta 5 of 4; delta 6 of 2, made by name; full 7.
const NAMES: [&str; 7] = ["b_1", "b_2_D_1", "b_3_D_2", "b_4", "b_5_D_4", "b_6_D_2", "b_7"];

fn scene(permanent: &[usize]) -> (Vec<Entry>, Chains) {
    let entry = |(at, text): (usize, &&str)| Entry {
        name: name(text),
        time: time(at as i64),
        permanent: permanent.contains(&(at + 1)),
    };
    let entries: Vec<Entry> = NAMES.iter().enumerate().map(entry).collect();
    let (chains, uncertain) = Chains::from_names(entries.iter().map(|entry| &entry.name));
    assert!(uncertain.is_empty());
    (entries, chains)
}

fn numbers<'a>(names: impl Iterator<Item = &'a BackupName>) -> String {
    names.map(|name| name.as_str().split('_').nth(1).unwrap()).collect()
}

/// Numbers of the backups that go.
fn gone(rule: &Rule, permanent: &[usize]) -> Result<String> {
    let (entries, chains) = scene(permanent);
    let choice = choose(rule, &entries, &chains)?;
    let settled = settle(&choice, "", &entries, &chains);
    let all: BTreeSet<_> = settled.stay.iter().chain(settled.kept.keys()).chain(settled.gone.keys()).collect();
    assert_eq!(all.len(), NAMES.len());
    Ok(numbers(settled.gone.keys()))
}

fn before(text: &str, find_full: bool) -> Rule {
    Rule::Before { place: Place::Name(text.to_owned()), find_full }
}

fn retain(count: usize, modifier: Modifier) -> Rule {
    Rule::Retain { count, modifier, after: None }
}

fn target(text: &str, find_full: bool) -> Rule {
    Rule::Target { name: name(text), find_full }
}

/// Delta 6 is based on 2 and 1, which stay with it.
#[test]
fn what_goes() {
    let table: [(Rule, &[usize], &str); 24] = [
        (before("b_1", false), &[], ""),
        (before("b_4", false), &[], "3"),
        (before("b_7", false), &[], "123456"),
        (before("b_", false), &[], "123456"),
        (before("b_5_D_4", true), &[], "3"),
        (before("b_6_D_2", true), &[], ""),
        (before("b_7", false), &[3], "456"),
        (before("b_7", false), &[5], "1236"),
        (before("b_7", false), &[1], "23456"),
        (Rule::Before { place: Place::Time(time(3)), find_full: false }, &[], "3"),
        (Rule::Before { place: Place::Time(time(6)), find_full: false }, &[], "123456"),
        (Rule::Before { place: Place::Time(time(7)), find_full: false }, &[], ""),
        (retain(1, Modifier::None), &[], "123456"),
        (retain(4, Modifier::None), &[], "3"),
        (retain(8, Modifier::None), &[], ""),
        (retain(2, Modifier::Full), &[], "3"),
        (retain(3, Modifier::Full), &[], ""),
        (retain(4, Modifier::Full), &[], ""),
        (retain(3, Modifier::FindFull), &[], "3"),
        (target("b_2_D_1", false), &[], "236"),
        (target("b_3_D_2", true), &[], "1236"),
        (target("b_5_D_4", false), &[3], "5"),
        (Rule::Garbage, &[], ""),
        (Rule::Garbage, &[3], ""),
    ];
    for (rule, permanent, expected) in table {
        assert_eq!(gone(&rule, permanent).unwrap(), expected, "{rule:?} {permanent:?}");
    }
}

/// The oldest backup that is kept for nothing but its age bounds the log.
#[test]
fn garbage_is_older_than_the_oldest_backup_that_is_not_permanent() {
    let (mut entries, chains) = scene(&[3]);
    assert_eq!(choose(&Rule::Garbage, &entries, &chains).unwrap(), Choice::Before(name("b_4")));
    entries.iter_mut().for_each(|entry| entry.permanent = true);
    assert_eq!(choose(&Rule::Garbage, &entries, &chains).unwrap(), Choice::Nothing);
    assert_eq!(choose(&Rule::Garbage, &[], &chains).unwrap(), Choice::Nothing);
}

#[test]
fn what_is_refused_says_why() {
    let table: [(Rule, &[usize], &str); 9] = [
        (before("b_5_D_4", false), &[], "b_5_D_4_backup_stop_sentinel.json is incremental"),
        (retain(2, Modifier::None), &[], "Consider FIND_FULL option."),
        (before("nope", false), &[], "Backup 'nope' does not exist."),
        (retain(0, Modifier::None), &[], "cannot retain less than one backup. Check out delete everything"),
        (target("b_9", false), &[], "Backup 'b_9' does not exist."),
        (target("b_7", false), &[7], "permanent backups are not deleted: b_7"),
        (target("b_1", false), &[6], "permanent backups are not deleted: b_6_D_2"),
        (target("b_6_D_2", true), &[1], "permanent backups are not deleted: b_1"),
        (target("b_3_D_2", true), &[6], "permanent backups are not deleted: b_6_D_2"),
    ];
    for (rule, permanent, expected) in table {
        let error = gone(&rule, permanent).unwrap_err().to_string();
        assert!(error.contains(expected), "{rule:?}: {error}");
    }
    refuse_permanent(&[]).unwrap();
    let error = refuse_permanent(&[name("b_1"), name("b_2_D_1")]).unwrap_err();
    assert_eq!(error.to_string(), "Found permanent backups=[b_1 b_2_D_1]");
    assert!(Place::parse("2999-01-01T00:00:00Z", Utc::now()).is_err());
    assert_eq!(Place::parse("1970-01-01T00:01:00Z", Utc::now()).unwrap(), Place::Time(time(1)));
}

#[test]
fn retain_after_keeps_the_larger_set() {
    let after = |count, modifier, place| Rule::Retain { count, modifier, after: Some(place) };
    let table = [
        (after(1, Modifier::None, Place::Time(time(3))), "3"),
        (after(4, Modifier::None, Place::Time(time(6))), "3"),
        (after(1, Modifier::Full, Place::Name("b_2_D_1".to_owned())), "3"),
        (after(1, Modifier::FindFull, Place::Time(time(4))), "123456"),
    ];
    for (rule, expected) in table {
        assert_eq!(gone(&rule, &[]).unwrap(), expected, "{rule:?}");
    }
}

/// Whatever the rule: a kept backup has all its bases, and a permanent one is kept.
#[test]
fn nothing_kept_ever_lacks_its_base() {
    for mask in 0..128_usize {
        let permanent: Vec<usize> = (1..=7).filter(|number| mask & (1 << (number - 1)) != 0).collect();
        let (entries, chains) = scene(&permanent);
        let mut rules = vec![Rule::Garbage];
        for text in NAMES {
            rules.extend([before(text, false), before(text, true), target(text, false), target(text, true)]);
        }
        for count in 1..=8 {
            rules.extend([Modifier::None, Modifier::Full, Modifier::FindFull].map(|modifier| retain(count, modifier)));
        }
        for rule in rules {
            let Ok(choice) = choose(&rule, &entries, &chains) else { continue };
            let settled = settle(&choice, "", &entries, &chains);
            for entry in entries.iter().filter(|entry| !settled.gone.contains_key(&entry.name)) {
                for base in chains.ancestors(&entry.name) {
                    assert!(!settled.gone.contains_key(&base), "{rule:?} {permanent:?}: {} needs {base}", entry.name);
                }
            }
            assert!(entries.iter().all(|entry| !entry.permanent || !settled.gone.contains_key(&entry.name)));
        }
    }
}
