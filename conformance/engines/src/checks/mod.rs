//! The checks, as tables.
//!
//! podman and Docker share one command line, and with it the tables of `run`, `life` and `limits`.

pub(crate) mod containerd;
pub(crate) mod docker;
pub(crate) mod life;
pub(crate) mod limits;
pub(crate) mod podman;
pub(crate) mod run;
