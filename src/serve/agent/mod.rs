//! The agent behind a socket: it runs the verbs of the closed list as its own user, for a server that has another one.
//!
//! The server starts `relay` in place of a verb. That passes its own outputs to the agent (`passing`), so reports go straight
//! to the server, and tells how the verb ended. The agent believes the server nothing: it decides by `request` and `permit`.

mod connection;
mod gate;
mod listening;
mod passing;
mod permit;
mod relay;
mod request;
mod work;

pub use self::{
    connection::{AgentRequest, run_agent},
    gate::{GATED_WORD, become_gated},
    listening::Place,
    relay::relay,
    request::{Look, Request, Wanted},
};
