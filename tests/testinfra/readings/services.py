# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of services show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading, absent

# Below /usr/local, where a package would put nothing and where systemctl can mask what it finds.
_UNITS = "/usr/local/lib/systemd/system"
_POOL = " ".join(f"{number}.debian.pool.ntp.org" for number in range(4))


def _stray(unit: str) -> str:
    """A unit of that name that runs and starts at boot, without the program itself."""
    text = r"[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    return (
        f"mkdir -p {_UNITS}; printf '{text}' > {_UNITS}/{unit}; "
        f"systemctl daemon-reload; systemctl -q enable --now {unit}"
    )


def _stopped(unit: str) -> Reading:
    return Reading(
        read=f"systemctl is-enabled {unit}; systemctl is-active {unit}",
        right="masked\ninactive",
        wrong=_stray(unit),
    )


def _closed(port: int) -> Reading:
    """A program that listens to the network, as nobody approved it."""
    unit = f"stray-{port}"
    return Reading(
        read=f"ss -Hltn sport = :{port} | wc -l",
        right="0",
        wrong=f"systemd-run -q --collect --unit={unit} python3 -m http.server {port}; "
        f"for turn in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn sport = :{port} | grep -q . && break; "
        "sleep 0.5; done",
        by_hand=f"systemctl stop {unit}",
    )


READINGS = {
    "services_automounter": _stopped("autofs.service"),
    "services_discovery": _stopped("avahi-daemon.service"),
    "services_dhcp_server": _stopped("isc-dhcp-server.service"),
    "services_name_server": _stopped("named.service"),
    "services_dnsmasq": _stopped("dnsmasq.service"),
    "services_ftp_server": _stopped("vsftpd.service"),
    "services_ldap_server": _stopped("slapd.service"),
    "services_mailboxes": _stopped("dovecot.service"),
    "services_nfs_server": _stopped("nfs-server.service"),
    "services_nis_server": _stopped("ypserv.service"),
    "services_printing": _stopped("cups.service"),
    "services_rsync_daemon": _stopped("rsync.service"),
    "services_file_sharing": _stopped("smbd.service"),
    "services_snmp": _stopped("snmpd.service"),
    "services_tftp_server": _stopped("atftpd.service"),
    "services_proxy": _stopped("squid.service"),
    "services_super_server": _stopped("xinetd.service"),
    "services_graphical_login": _stopped("gdm.service"),
    "services_remote_desktop": _stopped("xrdp.service"),
    "services_bluetooth": _stopped("bluetooth.service"),
    "services_iscsi": _stopped("iscsid.service"),
    "services_modem_manager": _stopped("ModemManager.service"),
    "services_x_window_system": Reading(
        read=absent("", "xserver-common").read,
        right="0",
        wrong="""d=$(mktemp -d); mkdir -m 755 $d/p $d/p/DEBIAN
printf 'Package: xserver-common\nVersion: 0\nArchitecture: all\nMaintainer: x <x@example.org>
Description: nothing\n' > $d/p/DEBIAN/control
dpkg-deb -b $d/p $d/p.deb > /dev/null; dpkg -i $d/p.deb > /dev/null; rm -r $d""",
    ),
    "services_listening_ports": _closed(8081),
    "services_mail_local": _closed(25),
    "services_time_daemon": Reading(
        read="for unit in systemd-timesyncd ntpsec openntpd; do systemctl is-enabled $unit; done",
        right="enabled\ndisabled\ndisabled",
        wrong="; ".join(_stray(f"{name}.service") for name in ("ntpsec", "openntpd")),
    ),
    "services_time_servers": Reading(
        read="systemd-analyze cat-config systemd/timesyncd.conf | grep '^NTP=' | tail -1",
        right=f"NTP={_POOL}",
        wrong="mkdir -p /etc/systemd/timesyncd.conf.d; "
        "printf '[Time]\\nNTP=time.example.org\\n' > /etc/systemd/timesyncd.conf.d/50-stray.conf",
    ),
    "services_time_user": Reading(
        read="grep -c '^user root' /etc/chrony/chrony.conf; grep '^user' /etc/chrony/chrony.conf",
        right="0\nuser _chrony",
        wrong="mkdir -p /etc/chrony; echo 'user root' > /etc/chrony/chrony.conf",
    ),
    "services_time_right": Reading(
        read="timedatectl show --property NTPSynchronized",
        right="NTPSynchronized=yes",
        wrong="true",
        own_kernel=True,
    ),
}
