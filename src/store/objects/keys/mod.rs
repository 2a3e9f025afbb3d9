//! Keys of stores that are not in the configuration: their sources, and the services that issue new ones.

mod answer;
pub mod aws;
pub mod azure;
pub mod bounded;
pub mod limits;
pub mod machine;
pub mod profile;
pub mod renewal;
