//! Which backup is based on which: pure.

use std::collections::{BTreeMap, BTreeSet};

use formats::BackupName;

/// What the name of a backup says about its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBase<'a> {
    /// A full backup.
    None,
    /// A delta of the backup whose name begins with this stamp (the first log file, or the time).
    Stamp(&'a str),
}

/// `base_<log file>[_D_<log file of the base>]`, `backup_<time>[_D_<time of the base>]`.
pub fn named_base(name: &BackupName) -> NamedBase<'_> {
    let mut parts = name.as_str().split('_').skip(2);
    match (parts.next(), parts.next()) {
        (Some("D"), Some(stamp)) => NamedBase::Stamp(stamp),
        _ => NamedBase::None,
    }
}

fn stamp(name: &BackupName) -> Option<&str> {
    name.as_str().split('_').nth(1)
}

/// The bases of the backups of one folder.
#[derive(Clone, Debug, Default)]
pub struct Chains {
    /// `None`: a full backup. A base that does not exist stands here all the same.
    bases: BTreeMap<BackupName, Option<BackupName>>,
}

impl Chains {
    pub fn new(bases: BTreeMap<BackupName, Option<BackupName>>) -> Self {
        Self { bases }
    }

    /// From names alone; those of which the base is not certain are returned besides, and stand as full backups.
    pub fn from_names<'a>(names: impl Iterator<Item = &'a BackupName> + Clone) -> (Self, Vec<BackupName>) {
        let mut by_stamp = BTreeMap::<&str, Vec<&BackupName>>::new();
        for name in names.clone() {
            by_stamp.entry(stamp(name).unwrap_or_default()).or_default().push(name);
        }
        let mut chains = Self::default();
        let mut uncertain = Vec::new();
        for name in names {
            let base = match named_base(name) {
                NamedBase::None => None,
                NamedBase::Stamp(stamp) => match by_stamp.get(stamp).map(Vec::as_slice) {
                    Some([base]) if *base != name => Some((*base).clone()),
                    _ => {
                        uncertain.push(name.clone());
                        None
                    }
                },
            };
            chains.bases.insert(name.clone(), base);
        }
        (chains, uncertain)
    }

    /// Corrects the base of one backup.
    pub fn set(&mut self, name: &BackupName, base: Option<BackupName>) {
        self.bases.insert(name.clone(), base);
    }

    pub fn base(&self, name: &BackupName) -> Option<&BackupName> {
        self.bases.get(name)?.as_ref()
    }

    pub fn is_delta(&self, name: &BackupName) -> bool {
        self.base(name).is_some()
    }

    /// The backups that `name` is based on, the nearest first. A circle, which no honest storage holds, ends.
    pub fn ancestors(&self, name: &BackupName) -> Vec<BackupName> {
        let mut ancestors: Vec<BackupName> = Vec::new();
        let mut current = name;
        while let Some(base) = self.base(current) {
            if base == name || ancestors.contains(base) || !self.bases.contains_key(base) {
                break;
            }
            ancestors.push(base.clone());
            current = base;
        }
        ancestors
    }

    /// The oldest backup that `name` is based on, or itself.
    pub fn root(&self, name: &BackupName) -> BackupName {
        self.ancestors(name).pop().unwrap_or_else(|| name.clone())
    }

    /// `name` and all that are based on it, directly or not.
    pub fn family(&self, name: &BackupName) -> BTreeSet<BackupName> {
        let mut children = BTreeMap::<&BackupName, Vec<&BackupName>>::new();
        for (child, base) in &self.bases {
            if let Some(base) = base {
                children.entry(base).or_default().push(child);
            }
        }
        let mut family = BTreeSet::from([name.clone()]);
        let mut pending = vec![name];
        while let Some(parent) = pending.pop() {
            for child in children.get(parent).into_iter().flatten() {
                if family.insert((*child).clone()) {
                    pending.push(child);
                }
            }
        }
        family
    }

    /// How many backups lie below.
    pub fn depth(&self, name: &BackupName) -> usize {
        self.ancestors(name).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> BackupName {
        BackupName::new(text).unwrap()
    }

    #[test]
    fn bases_from_names() {
        let names = ["backup_1", "backup_2_D_1", "backup_3_D_2", "backup_4_D_1", "backup_5", "backup_6_D_9", "other"];
        let names: Vec<_> = names.into_iter().map(name).collect();
        let (chains, uncertain) = Chains::from_names(names.iter());
        assert_eq!(uncertain, [name("backup_6_D_9")]);
        assert_eq!(chains.ancestors(&names[2]), [name("backup_2_D_1"), name("backup_1")]);
        assert_eq!(chains.root(&names[2]), names[0]);
        assert_eq!(chains.root(&names[4]), names[4]);
        let family: Vec<_> = chains.family(&names[0]).into_iter().collect();
        assert_eq!(family, names[..4]);
        assert_eq!(chains.family(&names[1]).len(), 2);
        assert!(!chains.is_delta(&names[6]) && chains.is_delta(&names[3]));
        assert_eq!(chains.depth(&names[2]), 2);
    }

    #[test]
    fn two_backups_of_one_stamp_leave_the_base_open() {
        let names = ["base_A", "base_A_D_9", "base_B_D_A"].map(name);
        let (mut chains, uncertain) = Chains::from_names(names.iter());
        assert_eq!(uncertain, [name("base_A_D_9"), name("base_B_D_A")]);
        chains.set(&names[2], Some(names[1].clone()));
        assert_eq!(chains.ancestors(&names[2]), [names[1].clone()]);
    }

    #[test]
    fn a_circle_ends() {
        let (a, b) = (name("a"), name("b"));
        let chains = Chains::new(BTreeMap::from([(a.clone(), Some(b.clone())), (b.clone(), Some(a.clone()))]));
        assert_eq!(chains.ancestors(&a), std::slice::from_ref(&b));
        assert_eq!(chains.family(&a).len(), 2);
    }
}
