//! keepalived-rs.
fn main() {}
