# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of packages show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading, absent, modes, present, unit


def _apt(option: str, right: str, wrong: str) -> Reading:
    return Reading(
        read=f"apt-config dump --no-empty {option}",
        right=f'{option} "{right}";',
        wrong=f"echo '{option} \"{wrong}\";' >> /etc/apt/apt.conf.d/99weak",
    )


def _made(name: str, *commands: str) -> Reading:
    """A package of that name without anything in it: quicker than the real one, as present."""
    control = f"Package: {name}\\nVersion: 0\\nArchitecture: all\\nMaintainer: x <x@example.org>"
    return Reading(
        read=absent("", name, *commands).read,
        right="0",
        wrong="d=$(mktemp -d); mkdir -m 755 $d/p $d/p/DEBIAN; "
        f"printf '{control}\\nDescription: nothing\\n' > $d/p/DEBIAN/control; "
        "dpkg-deb -b $d/p $d/p.deb > /dev/null; dpkg -i $d/p.deb > /dev/null; rm -r $d",
    )


def _source(name: str, line: str, read: str) -> Reading:
    """A source that should not be there, taken away by hand."""
    path = f"/etc/apt/sources.list.d/{name}.list"
    return Reading(read=read, right="0", wrong=f"echo '{line}' > {path}", by_hand=f"rm -f {path}")


READINGS = {
    "packages_legacy_clients": absent("telnet", "telnet", "inetutils-telnet"),
    "packages_legacy_servers": absent("tftpd-hpa", "tftpd-hpa"),
    "packages_automatic_updates": present("unattended-upgrades"),
    "packages_update_switch": _apt("APT::Periodic::Unattended-Upgrade", "1", "0"),
    "packages_list_switch": _apt("APT::Periodic::Update-Package-Lists", "1", "0"),
    "packages_signed_sources": Reading(
        read="apt-config shell insecure Acquire::AllowInsecureRepositories/b",
        right="insecure='false'",
        wrong="echo 'Acquire::AllowInsecureRepositories \"yes\";' >> /etc/apt/apt.conf.d/99weak",
    ),
    "packages_update_timer": unit(
        "apt-daily-upgrade.timer",
        "enabled\nactive",
        "systemctl -q disable --now apt-daily-upgrade.timer",
    ),
    "packages_list_timer": unit(
        "apt-daily.timer", "enabled\nactive", "systemctl -q mask --now apt-daily.timer"
    ),
    "packages_time_synchronisation": present("systemd-timesyncd"),
    "packages_cron": unit("cron.service", "enabled\nactive", "systemctl -q disable --now cron"),
    "packages_remote_procedure_calls": unit(
        "rpcbind.socket",
        "disabled\ninactive",
        "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y rpcbind > /dev/null",
    ),
    "packages_remote_procedure_service": unit(
        "rpcbind.service", "disabled\ninactive", "systemctl -q enable --now rpcbind.service"
    ),
    "packages_debug_shell": unit(
        "debug-shell.service", "disabled\ninactive", "systemctl -q enable debug-shell.service"
    ),
    "packages_apparmor": Reading(
        read="dpkg -s apparmor | grep ^Status:",
        right="Status: install ok installed",
        wrong="apt-get -qq purge -y apparmor > /dev/null",
        own_kernel=True,
    ),
    "packages_unauthenticated": _apt("APT::Get::AllowUnauthenticated", "false", "true"),
    "packages_weak_sources": _apt("Acquire::AllowWeakRepositories", "false", "true"),
    "packages_unsigned_again": _apt(
        "Acquire::AllowDowngradeToInsecureRepositories", "false", "true"
    ),
    "packages_downgrades": _apt("APT::Get::allow-downgrades", "false", "true"),
    "packages_pins": Reading(
        read="apt-cache policy | grep -c '^ *1001 '",
        right="0",
        wrong="printf 'Package: *\\nPin: origin \"old.example\"\\nPin-Priority: 1001\\n' "
        "> /etc/apt/preferences.d/weak",
        by_hand="rm /etc/apt/preferences.d/weak",
    ),
    "packages_fresh_sources": _apt("Acquire::Check-Valid-Until", "true", "false"),
    "packages_verified_servers": _apt("Acquire::https::Verify-Peer", "true", "false"),
    "packages_download_user": _apt("APT::Sandbox::User", "_apt", "root"),
    "packages_update_reboot": _apt("Unattended-Upgrade::Automatic-Reboot", "false", "true"),
    "packages_update_reboot_time": _apt(
        "Unattended-Upgrade::Automatic-Reboot-Time", "04:30", "12:00"
    ),
    "packages_update_mail": _apt("Unattended-Upgrade::Mail", "root", ""),
    "packages_update_report": _apt("Unattended-Upgrade::MailReport", "on-change", "never"),
    "packages_old_kernels": _apt(
        "Unattended-Upgrade::Remove-Unused-Kernel-Packages", "true", "false"
    ),
    "packages_old_dependencies": _apt(
        "Unattended-Upgrade::Remove-New-Unused-Dependencies", "true", "false"
    ),
    "packages_update_origins": Reading(
        read="apt-config dump Unattended-Upgrade::Origins-Pattern | grep -c label=Debian-Security",
        right="1",
        wrong="echo '#clear Unattended-Upgrade::Origins-Pattern;' >> /etc/apt/apt.conf.d/99weak",
    ),
    "packages_source_signatures": _source(
        "stray-trusted",
        "deb [trusted=yes signed-by=/nowhere.gpg] http://192.0.2.1/stray ./",
        "cat /etc/apt/sources.list.d/* /etc/apt/sources.list 2>/dev/null | grep -c trusted=yes",
    ),
    "packages_source_keys": _source(
        "stray-vendor",
        "deb http://packages.example.org/vendor stable main",
        "cat /etc/apt/sources.list.d/* /etc/apt/sources.list 2>/dev/null | grep -c example.org",
    ),
    "packages_old_keyring": Reading(
        read="test -s /etc/apt/trusted.gpg; echo $?",
        right="1",
        wrong="echo key > /etc/apt/trusted.gpg",
        by_hand="rm /etc/apt/trusted.gpg",
    ),
    "packages_security_source": Reading(
        read="apt-cache policy | grep -c l=Debian-Security",
        right="1",
        wrong="sed -i '/-security/s/^deb/#deb/' /etc/apt/sources.list",
        by_hand="sed -i 's/^#deb/deb/' /etc/apt/sources.list",
    ),
    "packages_source_key_files": modes("644 root:root", "666", "/etc/apt/sources.list"),
    "packages_ldap_client": _made("ldap-utils"),
    "packages_ftp_client": _made("tnftp", "ftp", "lftp"),
    "packages_prelink": _made("prelink"),
    "packages_error_reporting": _made("popularity-contest"),
    "packages_checksums": present("debsums"),
    "packages_temporary_folders": present("libpam-tmpdir"),
    "packages_restart_check": present("needrestart"),
    "packages_support_list": present("debian-security-support"),
    "packages_process_accounting": Reading(
        read="systemctl is-enabled acct.service; /bin/true; lastcomm true | grep -o -m 1 ^true",
        right="enabled\ntrue",
        wrong="true",
        own_kernel=True,
    ),
    "packages_rootkit_scan": unit("chkrootkit.timer", "enabled\nactive", "true"),
    "packages_checksums_compared": Reading(
        read=". /etc/default/debsums; echo $CRON_CHECK; ls /etc/cron.weekly/debsums",
        right="weekly\n/etc/cron.weekly/debsums",
        wrong="true",
    ),
    "packages_listed_origins": present("apt-show-versions"),
}
