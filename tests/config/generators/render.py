#!/usr/bin/env python3
"""Renders what configuration generators write for keepalived, beside this script or into another folder.

    tests/config/generators/render.py [--into FOLDER] PACKAGES

PACKAGES is where tests/run installs the packages of tests/python.txt. neutron's writer and octavia's drivers are called
as their agents call them; the template of kolla-ansible is filled in with what its role hands over. The values are
made up. What these modules import besides and is not called when they write stands in as mocks.
"""

import importlib.abc
import importlib.machinery
import pathlib
import sys
import types
from types import SimpleNamespace as Thing
from unittest.mock import MagicMock

import jinja2

INTO = pathlib.Path(__file__).parent
words = sys.argv[1:]
if words[:1] == ["--into"]:
    INTO = pathlib.Path(words[1])
    words = words[2:]
PACKAGES = pathlib.Path(words[0])
for name in ["neutron", "neutron-lib", "octavia", "octavia-lib"]:
    assert (PACKAGES / name).is_dir(), f"{name} is not installed"
    sys.path.append(str(PACKAGES / name))


class Mocked(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = MagicMock(name=name)
        setattr(self, name, value)
        return value


class Mocks(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder: what is not installed; and the first for the named modules, which import half of OpenStack."""

    NAMED = ["neutron.agent.linux.external_process", "neutron.agent.linux.utils", "neutron.cmd", "neutron.common.utils",
             "neutron_lib.db", "octavia.common.config", "octavia.db", "octavia.amphorae.backends.agent.api_server.util"]

    def __init__(self, named):
        self.named = named

    def find_spec(self, name, path, target=None):
        wanted = any(name == one or name.startswith(one + ".") for one in self.NAMED) if self.named else True
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if wanted else None

    def create_module(self, spec):
        return Mocked(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Mocks(True))
sys.meta_path.append(Mocks(False))


def put(name, text):
    (INTO / f"{name}.conf").write_text(text.rstrip() + "\n")


def neutron():
    from neutron.agent.linux import keepalived

    def router(name, families, routes=(), networks=2, **more):
        instance = keepalived.KeepalivedInstance(
            "BACKUP", "ha-2f3bcf0c-5a", 51, ["169.254.192.0/18"], advert_int=2, priority=50, **more)
        instance.track_interfaces.append("ha-2f3bcf0c-5a")
        vips = [("192.0.2.17/24", "qg-8a1f0b3e-9d", None)]
        vips += [(f"10.{n}.0.1/24", f"qr-{n:08x}-1a", None) for n in range(1, networks + 1)]
        if 6 in families:
            vips += [("2001:db8:a::1/64", "qr-00000001-1a", None), ("fe80::f816:3eff:fe45:6eab/64", "qr-00000001-1a", "link")]
        for address, interface, scope in vips:
            instance.add_vip(address, interface, scope)
        gateways = [keepalived.KeepalivedVirtualRoute("0.0.0.0/0", "192.0.2.1", "qg-8a1f0b3e-9d")]
        if 6 in families:
            gateways.append(keepalived.KeepalivedVirtualRoute("::/0", "fe80::1", "qg-8a1f0b3e-9d"))
        instance.virtual_routes.gateway_routes = gateways
        instance.virtual_routes.extra_routes = [keepalived.KeepalivedVirtualRoute(to, via) for to, via in routes]
        instance.virtual_routes.extra_subnets = [
            keepalived.KeepalivedVirtualRoute("198.51.100.0/24", None, "qg-8a1f0b3e-9d", scope="link")]
        config = keepalived.KeepalivedConf()
        config.add_instance(instance)
        put(name, config.get_config_str())

    router("neutron-ha-router", (4,), networks=25)
    router("neutron-auth-and-routes", (4, 6), vrrp_auth_type="PASS", vrrp_auth_password="notsecure", mcast_src_ip="169.254.192.5", garp_primary_delay=60,
           routes=[("203.0.113.0/24", "10.1.0.254"), ("2001:db8:ffff::/48", "2001:db8:a::fe")])
    router("neutron-health-check", (4,), vrrp_health_check_interval=10, ha_conf_dir="/var/lib/neutron/ha_confs/r1")


def octavia():
    from octavia.amphorae.drivers.keepalived.jinja import jinja_cfg as vrrp
    from octavia.common.jinja.lvs import jinja_cfg as lvs

    base = "/var/lib/octavia"
    vrrp.CONF = Thing(keepalived_vrrp=Thing(
        vrrp_garp_refresh_interval=5, vrrp_garp_refresh_count=2, vrrp_check_interval=5, vrrp_fail_count=2,
        vrrp_success_count=2))
    vrrp.util.keepalived_check_script_path = lambda: f"{base}/vrrp/check_script.sh"
    lvs.CONF = Thing(haproxy_amphora=Thing(base_path=base))

    def subnet(cidr, gateway=None, routes=()):
        return {"cidr": cidr, "gateway_ip": gateway,
                "host_routes": [{"destination": to, "nexthop": via} for to, via in routes]}

    def amphora(name, own, peers, address, network, more=()):
        amphorae = [Thing(status=vrrp.constants.AMPHORA_ALLOCATED, vrrp_ip=ip, vrrp_interface="eth1", vrrp_id=1,
                          vrrp_priority=100) for ip in [own, *peers]]
        balancer = Thing(vip=Thing(ip_address=address), amphorae=amphorae, vrrp_group=Thing(
            vrrp_group_name="6bae1dd5c4ec4d3b9a1e", vrrp_auth_type="PASS", vrrp_auth_pass="0af8cbf", advert_int=1))
        put(name, vrrp.KeepalivedJinjaTemplater().build_keepalived_config(
            balancer, amphorae[0], {vrrp.constants.VIP_SUBNET: network, "additional_vip_data": [
                {"ip_address": vip, "subnet": subnet} for vip, subnet in more]}))

    four, six = subnet("10.0.0.0/24", "10.0.0.1"), subnet("2001:db8::/64", "2001:db8::1")
    amphora("octavia-vrrp", "10.0.0.11", ["10.0.0.12"], "10.0.0.10",
            subnet("10.0.0.0/24", "10.0.0.1", [("192.0.2.0/24", "10.0.0.254")]))
    amphora("octavia-vrrp-two-families", "10.0.0.11", ["10.0.0.12"], "10.0.0.10", four, [("2001:db8::10", six)])
    amphora("octavia-vrrp-ipv6", "2001:db8::11", ["2001:db8::12"], "2001:db8::10", six)

    def balancer(name, protocol, monitor, vips, persistence=None, members=()):
        present = {"provisioning_status": "ACTIVE", "enabled": True}
        pool = Thing(
            id="pool1", protocol=protocol, lb_algorithm=lvs.constants.LB_ALGORITHM_ROUND_ROBIN, **present,
            health_monitor=Thing(id="hm1", delay=30, timeout=31, fall_threshold=4, rise_threshold=2, **present, **monitor),
            session_persistence=persistence and Thing(**persistence),
            members=[Thing(id=f"member{n}", ip_address=address, protocol_port=82, weight=13, monitor_address=None,
                           monitor_port=None, **{**present, "enabled": n != 2}) for n, address in enumerate(members)])
        addresses = [Thing(ip_address=vip) for vip in vips]
        put(name, lvs.LvsJinjaTemplater().build_config(Thing(
            id="listener1", enabled=True, protocol=protocol, protocol_port=80, connection_limit=98, default_pool=pool,
            load_balancer=Thing(id="lb1", enabled=True, vip=addresses[0], additional_vips=addresses[1:]))))

    members = ["10.0.0.99", "10.0.0.98", "10.0.0.97", "2001:db8::99"]
    balancer("octavia-lvs-udp", "UDP", {"type": "UDP-CONNECT"}, ["10.0.0.2"],
             {"type": "SOURCE_IP", "persistence_timeout": 33, "persistence_granularity": "255.255.0.0"}, members)
    balancer("octavia-lvs-http", "UDP", {"type": "HTTP", "http_method": "GET", "url_path": "/index.html",
                                         "expected_codes": "200,204"}, ["10.0.0.2", "2001:db8::2"], None, members)
    balancer("octavia-lvs-sctp", "SCTP", {"type": "SCTP"}, ["2001:db8::2"],
             {"type": "SOURCE_IP", "persistence_timeout": None, "persistence_granularity": None}, members)
    balancer("octavia-lvs-tcp-check", "UDP", {"type": "TCP"}, ["10.0.0.2"], None, members)


def kolla():
    role = PACKAGES / "kolla-ansible/share/kolla-ansible/ansible/roles/loadbalancer"
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(role / "templates/keepalived"), trim_blocks=True)
    hosts = {"control01": "192.0.2.11", "control02": "192.0.2.12", "control03": "192.0.2.13"}
    environment.filters["bool"] = bool
    environment.filters["kolla_address"] = lambda network, host: hosts[host]
    template = environment.get_template("keepalived.conf.j2")

    def controller(name, **more):
        put(name, template.render(
            keepalived_virtual_router_id=51, api_interface="eth0", api_interface_address="192.0.2.11",
            inventory_hostname="control01", groups={"loadbalancer": list(hosts)}, kolla_internal_vip_address="192.0.2.10",
            kolla_external_vip_address="198.51.100.10", kolla_external_vip_interface="eth1",
            keepalived_password="d3Jm0wXk6Ea9QeJ9DVmHBzTqWn5sLzlOYLV5Vbxx", **more))

    controller("kolla", keepalived_track_script_enabled=True, keepalived_traffic_mode="multicast",
               haproxy_enable_external_vip=False)
    controller("kolla-unicast-external", keepalived_track_script_enabled=True, keepalived_traffic_mode="unicast",
               haproxy_enable_external_vip=True)


neutron()
octavia()
kolla()
