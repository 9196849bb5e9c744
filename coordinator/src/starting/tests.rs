//! The step machine against a simulated cluster that does what steps ask for, and is interrupted anywhere.

use pgdata::{Lsn, TimelineId};

use super::*;

fn fresh(point: &str) -> ServerState {
    ServerState {
        phase: ServerPhase::Stopped,
        recovery_pending: true,
        unprepared: false,
        being_started: false,
        target_name: Some(point.to_owned()),
        target_action: Some("promote".to_owned()),
        timeline: TimelineId(1),
        redo_lsn: Lsn(1),
        segment_size_bytes: 1 << 26,
        db_id: None,
        archives_with: None,
    }
}

fn facts(servers: usize) -> Facts {
    Facts::new((0..servers).map(|number| (ContentId(number as i32 - 1), fresh("rp"))).collect())
}

/// The world: servers as they are, and what the coordinator's catalog says.
#[derive(Clone)]
struct World {
    servers: BTreeMap<ContentId, ServerState>,
    catalog_right: bool,
}

impl World {
    /// One server's part of a step; a step may die after any of these.
    fn touch(&mut self, step: &Step, content: ContentId) {
        let server = self.servers.get_mut(&content).unwrap();
        match step {
            Step::Recover(_) => {
                assert!(is_down(server), "a running server is left alone");
                server.being_started = true;
                server.phase = if server.recovery_pending { ServerPhase::Recovering } else { ServerPhase::Serving };
            }
            Step::Await(_) if action(server) == Some("pause") => server.phase = ServerPhase::Paused,
            Step::Await(_) => {
                server.phase = ServerPhase::Serving;
                server.recovery_pending = false;
            }
            Step::Stop(_) => server.phase = ServerPhase::Stopped,
            Step::Serve(_) => {
                assert!(!server.recovery_pending);
                assert!(self.catalog_right, "nobody serves beside a coordinator whose catalog is wrong");
                server.phase = ServerPhase::Serving;
                server.being_started = false;
                server.target_name = None;
            }
            Step::Catalog { rewrite } => {
                assert!(server.being_started == *rewrite, "only a coordinator in utility mode is written to");
                self.catalog_right |= rewrite;
            }
            Step::Check => assert!(serves(server)),
        }
    }

    fn contents(&self, step: &Step) -> Vec<ContentId> {
        match step {
            Step::Recover(some) | Step::Await(some) | Step::Stop(some) | Step::Serve(some) => some.clone(),
            Step::Catalog { .. } => vec![ContentId::COORDINATOR],
            Step::Check => self.servers.keys().copied().collect(),
        }
    }
}

/// Runs until the end, or until `touches` servers were touched; what remains of them.
fn run(world: &mut World, mut touches: usize) -> (Result<Next, Problem>, usize) {
    let mut facts = Facts::new(world.servers.clone());
    for _ in 0..20 {
        let step = match next(&facts) {
            Ok(Next::Do(step)) => step,
            end => return (end, touches),
        };
        for content in world.contents(&step) {
            if touches == 0 {
                return (Ok(Next::Do(step)), 0);
            }
            touches -= 1;
            world.touch(&step, content);
        }
        facts.servers = world.servers.clone();
        match step {
            Step::Catalog { .. } => {
                facts.catalog = if world.catalog_right { Catalog::Right } else { Catalog::Differs };
            }
            Step::Check => facts.checked = true,
            _ => {}
        }
    }
    panic!("the machine does not end: {facts:?}");
}

fn world(servers: usize) -> World {
    World { servers: facts(servers).servers, catalog_right: false }
}

#[test]
fn a_restored_cluster_comes_up() {
    let mut world = world(4);
    let (end, _) = run(&mut world, 1000);
    assert_eq!(end, Ok(Next::Ready));
    assert!(world.catalog_right && world.servers.values().all(serves));
}

#[test]
fn the_steps_are_in_order() {
    let mut facts = facts(3);
    let all: Vec<ContentId> = facts.servers.keys().copied().collect();
    assert_eq!(next(&facts), Ok(Next::Do(Step::Recover(all.clone()))));
    facts.servers.values_mut().for_each(|server| {
        server.phase = ServerPhase::Recovering;
        server.being_started = true;
    });
    assert_eq!(next(&facts), Ok(Next::Do(Step::Await(all.clone()))));
    facts.servers.values_mut().for_each(|server| {
        server.phase = ServerPhase::Serving;
        server.recovery_pending = false;
    });
    assert_eq!(next(&facts), Ok(Next::Do(Step::Catalog { rewrite: true })));
    facts.catalog = Catalog::Right;
    assert_eq!(next(&facts), Ok(Next::Do(Step::Serve(all[1..].to_vec()))));
    facts.servers.iter_mut().skip(1).for_each(|(_, server)| server.being_started = false);
    assert_eq!(next(&facts), Ok(Next::Do(Step::Serve(all[..1].to_vec()))));
    facts.servers.values_mut().for_each(|server| server.being_started = false);
    assert_eq!(next(&facts), Ok(Next::Do(Step::Check)));
    facts.checked = true;
    assert_eq!(next(&facts), Ok(Next::Ready));
}

/// Killed after every single touch of a server, and again in the second run: the next run always ends well.
#[test]
fn every_interruption_is_gone_on_from() {
    for first in 0..40 {
        for second in 0..40 {
            let mut world = world(3);
            let _ = run(&mut world, first);
            let _ = run(&mut world, second);
            let (end, _) = run(&mut world, 1000);
            assert_eq!(end, Ok(Next::Ready), "killed after {first} and {second}");
            assert!(world.catalog_right && world.servers.values().all(serves));
        }
    }
}

#[test]
fn a_running_cluster_is_left_as_it_is() {
    let mut world = world(3);
    let _ = run(&mut world, 1000);
    let before = world.servers.clone();
    assert_eq!(run(&mut world, 1000).0, Ok(Next::Ready));
    assert_eq!(world.servers, before);
    // Another cluster's coordinator serves at that place: nothing is done to it.
    world.catalog_right = false;
    assert_eq!(run(&mut world, 1000).0, Err(Problem::OtherCluster));
    assert_eq!(world.servers, before);
}

#[test]
fn paused_servers_wait_for_another_action() {
    let mut world = world(3);
    world.servers.values_mut().for_each(|server| server.target_action = Some("pause".to_owned()));
    assert_eq!(run(&mut world, 1000).0, Ok(Next::Paused));
    assert_eq!(run(&mut world, 1000).0, Ok(Next::Paused));
    world.servers.values_mut().for_each(|server| server.target_action = Some("promote".to_owned()));
    assert_eq!(run(&mut world, 1000).0, Ok(Next::Ready));
}

#[test]
fn segments_alone_are_started_without_a_coordinator() {
    let mut world = world(3);
    world.servers.remove(&ContentId::COORDINATOR);
    world.catalog_right = true;
    assert_eq!(run(&mut world, 1000).0, Ok(Next::Ready));
}

#[test]
fn what_cannot_be_started_is_refused_before_anything_is_done() {
    let mut changed = facts(3);
    changed.servers.get_mut(&ContentId(1)).unwrap().unprepared = true;
    assert_eq!(next(&changed), Err(Problem::Unprepared(ContentId(1))));
    let mut changed = facts(3);
    changed.servers.get_mut(&ContentId(0)).unwrap().target_name = Some("rp2".to_owned());
    let points = Problem::DifferentPoints(ContentId(-1), "rp".to_owned(), ContentId(0), "rp2".to_owned());
    assert_eq!(next(&changed), Err(points));
    let mut changed = facts(3);
    changed.servers.get_mut(&ContentId(0)).unwrap().target_action = Some("shutdown".to_owned());
    assert_eq!(next(&changed), Err(Problem::ShutsDown(ContentId(0))));
}
