//! The kernel room against a real kernel: every test runs in network namespaces that it makes itself, and
//! compares with what `ip`, `nft` and a capture on the other end of a veth say.

mod support;

mod addresses;
mod adverts;
mod firewall;
mod log;
mod pacing;
mod routes;
mod speed;
mod watched;
