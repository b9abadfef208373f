#!/usr/bin/env python3
"""Renders anew what configuration generators write for keepalived, beside this script.

    python3 -m venv VENV
    VENV/bin/pip install neutron; VENV/bin/pip install --no-deps octavia kolla-ansible
    VENV/bin/python tests/config/generators/render.py

neutron's writer is called as its L3 agent calls it; the templates of octavia and kolla-ansible are filled in with what
their drivers hand over. The values are made up. Last written with neutron 29.0.0, octavia 19.0.0, kolla-ansible 22.2.0.
"""

import importlib.util
import pathlib
import sys
from types import SimpleNamespace as Thing

import jinja2

HERE = pathlib.Path(__file__).parent


def put(name, text):
    (HERE / f"{name}.conf").write_text(text.rstrip() + "\n")


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


def templates(package, folder):
    where = pathlib.Path(importlib.util.find_spec(package).origin).parent / folder
    return jinja2.Environment(loader=jinja2.FileSystemLoader(where), trim_blocks=True, lstrip_blocks=True)


def octavia():
    vrrp = templates("octavia", "amphorae/drivers/keepalived/jinja/templates").get_template("keepalived_base.template")

    def vip(address, network, gateway=None, excluded=False, routes=()):
        return {"ip_address": address, "network_cidr": network, "ipv6": ":" in address, "gateway": gateway,
                "excluded": excluded, "host_routes": [{"destination": to, "nexthop": via} for to, via in routes]}

    def amphora(name, own, peers, vips):
        put(name, vrrp.render(
            vrrp_group_name="6bae1dd5c4ec4d3b9a1e", amp_intf="eth1", amp_vrrp_id=1, amp_priority=100,
            vrrp_garp_refresh=5, vrrp_garp_refresh_repeat=2, vrrp_auth_type="PASS", vrrp_auth_pass="0af8cbf",
            amp_vrrp_ip=own, peers_vrrp_ips=peers, advert_int=1, vrrp_check_interval=5, vrrp_fail_count=2,
            vrrp_success_count=2, check_script_path="/var/lib/octavia/vrrp/check_script.sh", vips=vips))

    amphora("octavia-vrrp", "10.0.0.11", ["10.0.0.12"],
            [vip("10.0.0.10", "10.0.0.0/24", "10.0.0.1", routes=[("192.0.2.0/24", "10.0.0.254")])])
    amphora("octavia-vrrp-two-families", "10.0.0.11", ["10.0.0.12"],
            [vip("10.0.0.10", "10.0.0.0/24", "10.0.0.1"),
             vip("2001:db8::10", "2001:db8::/64", "2001:db8::1", excluded=True)])
    amphora("octavia-vrrp-ipv6", "2001:db8::11", ["2001:db8::12"], [vip("2001:db8::10", "2001:db8::/64", "2001:db8::1")])

    lvs = templates("octavia", "common/jinja/lvs/templates").get_template("keepalivedlvs.cfg.j2")
    constants = Thing(
        AMPHORA_NAMESPACE="amphora-haproxy", LVS_PROTOCOLS=["UDP", "SCTP"], SESSION_PERSISTENCE_SOURCE_IP="SOURCE_IP",
        HEALTH_MONITOR_UDP_CONNECT="UDP-CONNECT", HEALTH_MONITOR_HTTP="HTTP", HEALTH_MONITOR_HTTP_METHOD_GET="GET",
        HEALTH_MONITOR_TCP="TCP")
    lib_constants = Thing(HEALTH_MONITOR_SCTP="SCTP")

    def balancer(name, protocol, monitor, vips, persistence=None, members=()):
        monitor = monitor and {"id": "hm1", "enabled": True, "delay": 30, "timeout": 31, "fall_threshold": 4, **monitor}
        pool = {"id": "pool1", "enabled": True, "protocol": protocol, "lb_algorithm": "wrr", "health_monitor": monitor,
                "session_persistence": persistence,
                "members": [{"id": f"member{n}", "address": address, "ip_version": 6 if ":" in address else 4,
                             "protocol_port": 82, "weight": 13, "enabled": n != 2, "monitor_address": None,
                             "monitor_port": None} for n, address in enumerate(members)]}
        put(name, lvs.render(
            loadbalancer={"enabled": True,
                          "vips": [{"ip_address": vip, "ip_version": 6 if ":" in vip else 4} for vip in vips],
                          "listener": {"id": "listener1", "enabled": True, "protocol_port": 80, "connection_limit": 98,
                                       "protocol_mode": protocol.lower(), "default_pool": pool}},
            constants=constants, lib_consts=lib_constants))

    members = ["10.0.0.99", "10.0.0.98", "10.0.0.97", "2001:db8::99"]
    balancer("octavia-lvs-udp", "UDP", {"type": "UDP-CONNECT", "check_script_path": "/var/lib/octavia/lvs/check/udp_check.sh"},
             ["10.0.0.2"], {"type": "SOURCE_IP", "persistence_timeout": 33, "persistence_granularity": "255.255.0.0"}, members)
    balancer("octavia-lvs-http", "UDP", {"type": "HTTP", "http_method": "GET", "url_path": "/index.html",
                                         "expected_codes": ["200", "204"]}, ["10.0.0.2", "2001:db8::2"], None, members)
    balancer("octavia-lvs-sctp", "SCTP", {"type": "SCTP"}, ["2001:db8::2"], {"type": "SOURCE_IP"}, members)
    balancer("octavia-lvs-tcp-check", "UDP", {"type": "TCP"}, ["10.0.0.2"], None, members)


def kolla():
    share = pathlib.Path(sys.prefix) / "share/kolla-ansible/ansible/roles/loadbalancer/templates/keepalived"
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(share), trim_blocks=True)
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
