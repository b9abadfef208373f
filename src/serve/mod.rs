//! What answers others.

#[cfg(feature = "dbus")]
pub mod dbus;
pub mod snmp;
