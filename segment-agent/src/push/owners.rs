//! Names of the users and groups that own files, looked up once each.

use std::collections::HashMap;

use nix::unistd::{Gid, Group, Uid, User};

#[derive(Default)]
pub struct Owners {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Owners {
    /// The user's name; empty where the system knows none.
    pub fn user(&mut self, uid: u32) -> String {
        let look_up = || User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name).unwrap_or_default();
        self.users.entry(uid).or_insert_with(look_up).clone()
    }

    /// The group's name; empty where the system knows none.
    pub fn group(&mut self, gid: u32) -> String {
        let look_up = || Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name).unwrap_or_default();
        self.groups.entry(gid).or_insert_with(look_up).clone()
    }
}
