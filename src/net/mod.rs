//! The kernel, driven: advert sockets, announcements, addresses, routes, rules, links and their monitor, the firewall, and
//! `desired`, which makes the kernel hold what the instances claim.

pub mod addresses;
pub mod adverts;
pub mod announce;
pub mod bfd;
pub mod carrier;
pub mod channel;
pub mod desired;
pub mod drain;
pub mod firewall;
pub mod hearing;
pub mod icmp_errors;
pub mod ipvs;
pub mod links;
pub mod local_igmp;
pub mod message;
pub mod monitor;
pub mod neighbours;
pub mod object_monitor;
pub mod objects;
pub mod overheard;
pub mod routes;
pub mod rules;
pub mod virtual_links;
