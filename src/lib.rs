//! keepalived-rs: high availability with VRRP, in keepalived's place.
//!
//! The rooms of the house, from the ground up; a room uses rooms on lower floors only.
//!
//! | floor | rooms |
//! | --- | --- |
//! | 4 | `daemon` (the running program), `tools` (what runs beside it) |
//! | 3 | `net` (the kernel, driven), `track` (looks at this host), `notify` (tells others), `checkers` (looks at real servers), `serve` (answers others) |
//! | 2 | `config` (text to model), `vrrp` and `bfd` (the protocols), `lvs` (virtual servers), `report` (renderings), `sys` (system calls), `process` (children, pid files) |
//! | 1 | `model` (the configuration), `state` (what happens), `wire` (bytes and packets) |

#![warn(missing_docs)]

pub mod bfd;
pub mod checkers;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod lvs;
pub mod model;
pub mod net;
pub mod notify;
pub mod process;
pub mod report;
pub mod serve;
pub mod state;
pub mod sys;
pub mod tools;
pub mod track;
pub mod vrrp;
pub mod wire;
