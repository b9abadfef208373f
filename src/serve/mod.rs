//! What answers others.

#[cfg(feature = "dbus")]
pub mod dbus;
pub mod metrics;
pub mod snmp;
