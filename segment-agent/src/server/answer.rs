//! The health gate: a server that serves, and a coordinator that reaches its primaries.

use formats::server::{ServerPhase, ServerState};

use super::Place;
use super::state::look_closely;
use crate::error::{Error, Result};

pub async fn answer(place: &Place<'_>, primaries: Option<u32>) -> Result<ServerState> {
    let dir = place.target.data_dir.display();
    let (state, server) = look_closely(place).await?;
    let Some(server) = server.filter(|_| state.phase == ServerPhase::Serving) else {
        let what = format!("the server on {dir} does not answer as a primary: {:?}", state.phase);
        return Err(Error::refused(what, "look into its log, then run damson cluster-start again"));
    };
    server.ping().await?;
    if let Some(expected) = primaries {
        match server.reached_primaries().await? {
            Some(reached) if reached != expected => {
                let what = format!("a distributed query of the coordinator reached {reached} of {expected} primaries");
                return Err(Error::refused(what, "see gp_segment_configuration and the logs of the primaries"));
            }
            Some(_) => place.monitor.phase(format!("a distributed query reached all {expected} primaries")),
            None => place.monitor.phase("the server has no distributed queries: the primaries were asked one by one"),
        }
    }
    Ok(state)
}
