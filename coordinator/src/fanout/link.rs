//! The connection of one host, as a task: takes commands, tells what comes back. Decides nothing.

use std::path::PathBuf;

use formats::wire::{Event, Reply, Request};
use tokio::sync::mpsc::{Sender, UnboundedReceiver};

use super::Input;
use crate::host::{Agent, Error, Host};

/// What the driver wants of a link.
pub(super) enum Command {
    Connect,
    Send(Request),
    Disconnect,
}

pub(super) struct Link {
    pub index: usize,
    pub host: Host,
    /// The settings file, for messages.
    pub config: PathBuf,
    pub inputs: Sender<Input>,
}

impl Link {
    /// Runs until the driver hangs up.
    pub(super) async fn run(self, mut commands: UnboundedReceiver<Command>) {
        let mut agent = None;
        loop {
            let input = tokio::select! {
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Disconnect) => { agent = None; None }
                    Some(Command::Send(request)) => self.send(&mut agent, request).await,
                    Some(Command::Connect) => {
                        // A new connection replaces the old one; a driver that hangs up meanwhile is not kept waiting.
                        agent = None;
                        tokio::select! {
                            opened = Agent::open(&self.host, &self.config) => Some(self.opened(opened, &mut agent)),
                            () = self.inputs.closed() => return,
                        }
                    }
                },
                reply = next_reply(&mut agent) => Some(self.replied(reply, &mut agent)),
            };
            if let Some(input) = input
                && self.inputs.send(input).await.is_err()
            {
                return;
            }
        }
    }

    fn opened(&self, opened: Result<Agent, Error>, agent: &mut Option<Agent>) -> Input {
        match opened {
            Ok(open) => {
                *agent = Some(open);
                Input::Connected(self.index)
            }
            Err(error) => {
                Input::ConnectFailed { host: self.index, error: error.report(), transient: error.is_transient() }
            }
        }
    }

    async fn send(&self, agent: &mut Option<Agent>, request: Request) -> Option<Input> {
        match agent.as_mut()?.send(&request).await {
            Ok(()) => None,
            Err(error) => Some(self.lost(&error, agent)),
        }
    }

    fn replied(&self, reply: Result<Reply, Error>, agent: &mut Option<Agent>) -> Input {
        match reply {
            Ok(Reply::Event(entry)) => {
                // The last word of a job: the end of the connection that follows says nothing more.
                if matches!(entry.event, Event::Finished { .. }) {
                    *agent = None;
                }
                Input::Entry { host: self.index, entry }
            }
            // A second greeting says nothing new, and nobody asked for jobs.
            Ok(Reply::Alive | Reply::Hello { .. } | Reply::Jobs { .. }) => Input::Alive(self.index),
            Ok(Reply::Refused { error }) => {
                *agent = None;
                Input::Refused { host: self.index, error }
            }
            Err(error) => self.lost(&error, agent),
        }
    }

    fn lost(&self, error: &Error, agent: &mut Option<Agent>) -> Input {
        *agent = None;
        Input::Lost { host: self.index, error: error.report() }
    }
}

async fn next_reply(agent: &mut Option<Agent>) -> Result<Reply, Error> {
    match agent {
        Some(agent) => agent.next().await,
        None => std::future::pending().await,
    }
}
