//! Object paths, as keepalived makes them.

use crate::model::globals::Globals;
use crate::model::route::Family;
use crate::model::vrrp::Instance;

const ROOT: &str = "/org/keepalived/Vrrp1";

/// Path of the object for the whole program. `namespace`: of the command line, before that of the file.
pub fn vrrp(globals: &Globals, namespace: Option<&str>) -> String {
    format!("{}/Vrrp", root(globals, namespace))
}

/// Path of an instance.
pub fn instance(globals: &Globals, namespace: Option<&str>, instance: &Instance) -> String {
    let interface = match instance.interface.as_str() {
        "" => &globals.dbus_no_interface_name,
        name => name,
    };
    let family = match instance.family {
        Family::Inet6 => "IPv6",
        Family::Inet => "IPv4",
    };
    format!(
        "{}/Instance/{}/{}/{family}",
        root(globals, namespace),
        element(interface),
        instance.vrid
    )
}

fn root(globals: &Globals, namespace: Option<&str>) -> String {
    let mut path = ROOT.to_owned();
    let further = [
        namespace.or(globals.net_namespace.as_deref()),
        globals.instance_name.as_deref(),
    ];
    for name in further.into_iter().flatten().filter(|name| !name.is_empty()) {
        path.push('/');
        path.push_str(&element(name));
    }
    path
}

/// What may not stand in a path becomes an underscore.
fn element(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_keepalived() {
        let mut globals = Globals::default();
        assert_eq!(vrrp(&globals, None), "/org/keepalived/Vrrp1/Vrrp");
        globals.net_namespace = Some("blue-1".into());
        globals.instance_name = Some("lab".into());
        assert_eq!(vrrp(&globals, None), "/org/keepalived/Vrrp1/blue_1/lab/Vrrp");
        assert_eq!(vrrp(&globals, Some("red")), "/org/keepalived/Vrrp1/red/lab/Vrrp");
        assert_eq!(element("eth0.5"), "eth0_5");
    }
}
