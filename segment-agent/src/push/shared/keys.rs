//! Names of shared objects. WAL-G reads the suffix and the absence of dots: a dot would begin the extension of a codec.
//!
//! Every name that this project gives holds the number of its push, so that no push overwrites the object of another one. WAL-G
//! leaves it out of increments: two of them on one object with the same number of changes, such as after a restore to an
//! earlier point, get one name there, and the second destroys the first.

use super::found::{AoFacts, PaxFacts, PaxPlace, RelationKey};

const AO_SUFFIX: &str = "_aoseg";
const PAX_SUFFIX: &str = "_pax";
const INCREMENT: &str = "_D_";

/// Numbers of pushes: nanoseconds since 1970 at their start.
pub type PushId = i64;

/// Key below `aosegments` of a file that is stored whole.
pub fn ao_regular(place: &RelationKey, facts: &AoFacts, push: PushId) -> String {
    let RelationKey { tablespace, database, relfilenode, segment_number } = place;
    let AoFacts { name_md5, mod_count, .. } = facts;
    format!("{tablespace}_{database}_{name_md5:032x}_{relfilenode}_{segment_number}_{mod_count}_{push}{AO_SUFFIX}")
}

/// Key below `aosegments` of what a file has beyond the object `base`, itself regular or an increment. The names of a chain
/// of increments do not grow.
pub fn ao_increment(base: &str, mod_count: i64, push: PushId) -> String {
    let regular = base.strip_suffix(AO_SUFFIX).unwrap_or(base);
    let regular = regular.split(INCREMENT).next().unwrap_or(regular);
    format!("{regular}{INCREMENT}{mod_count}_{push}{AO_SUFFIX}")
}

/// Key below `paxfiles`.
pub fn pax(place: &PaxPlace, facts: &PaxFacts, push: PushId) -> String {
    let PaxPlace { tablespace, database, relfilenode, name } = place;
    let name = name.replace('.', "_");
    format!("{tablespace}_{database}_{:032x}_{relfilenode}_{name}_{push}{PAX_SUFFIX}", facts.name_md5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::ao::StorageType;
    use formats::pax::PaxKind;

    #[test]
    fn names_as_wal_gs_and_each_push_its_own() {
        let place = RelationKey { tablespace: 1663, database: 16384, relfilenode: 16390, segment_number: 1 };
        let facts = AoFacts { storage_type: StorageType::ROW, eof: 8, mod_count: 3, name_md5: 0x44 };
        let regular = ao_regular(&place, &facts, 1_700_000_000_123_456_789);
        let md5 = format!("{:0>32}", "44");
        assert_eq!(regular, format!("1663_16384_{md5}_16390_1_3_1700000000123456789_aoseg"));
        let first = ao_increment(&regular, 5, 7);
        assert_eq!(first, format!("1663_16384_{md5}_16390_1_3_1700000000123456789_D_5_7_aoseg"));
        let second = ao_increment(&first, 7, 8);
        assert_eq!(second, format!("1663_16384_{md5}_16390_1_3_1700000000123456789_D_7_8_aoseg"));
        assert_eq!(ao_increment("1_2_x_3_1_2_9_D_4_D_6_aoseg", 8, 9), "1_2_x_3_1_2_9_D_8_9_aoseg");
        assert_ne!(ao_increment(&regular, 5, 8), first);

        let place = PaxPlace { tablespace: 1663, database: 5, relfilenode: 6, name: "1.toast".into() };
        let facts = PaxFacts { kind: PaxKind::Toast, block: 1, name_md5: 0x44 };
        assert_eq!(pax(&place, &facts, 9), format!("1663_5_{md5}_6_1_toast_9_pax"));
    }
}
