//! The load balancer: `virtual_server`, `virtual_server_group`, `SSL`.

/// Everything that the load balancer is configured with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lvs {}
