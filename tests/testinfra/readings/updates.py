# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of updates show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading

_LISTS = "/var/lib/apt/lists"
_STRAY = f"{_LISTS}/stray.example_dists_stable-security"
_DATA = "/var/lib/ringfence/vulnerabilities.json"
_DOCUMENT = (
    """printf '{"schema": 1, "release": "%s", "date": "%s", "packages": {"bash": [%s]}}' """
    """$(. /etc/os-release; echo $VERSION_CODENAME) $(date +%Y-%m-%d)"""
)

READINGS = {
    # Before the one below, for lists that are too old hide what waits.
    "updates_lists_fresh": Reading(
        read=f"find {_LISTS}/partial -maxdepth 0 -mtime -1",
        right=f"{_LISTS}/partial",
        wrong=f"touch -d '20 days ago' {_LISTS}/partial; rm -f /var/lib/apt/periodic/*",
        by_hand="apt-get -qq update",
    ),
    "updates_security_pending": Reading(
        read="apt-get -s upgrade --with-new-pkgs | grep -c '^Inst.*-[Ss]ecurity'",
        right="0",
        wrong=f"printf 'Label: Debian-Security\\n' > {_STRAY}_InRelease; "
        f"printf 'Package: bash\\nVersion: 99\\n' > {_STRAY}_main_binary-amd64_Packages",
        by_hand=f"rm -f {_STRAY}_*; DEBIAN_FRONTEND=noninteractive apt-get -qq upgrade -y "
        "--with-new-pkgs > /dev/null",
    ),
    "updates_known_vulnerabilities": Reading(
        read=f"grep -c 99:1 {_DATA}",
        right="0",
        wrong="mkdir -p /var/lib/ringfence; "
        f"""{_DOCUMENT} '["CVE-2099-1", "99:1", "high"]' > {_DATA}""",
        by_hand=f"""{_DOCUMENT} '["CVE-2099-1", "0.1-1", "high"]' > {_DATA}""",
    ),
    "updates_known_sources": Reading(
        read="apt list '?obsolete' 2> /dev/null | grep -vc ^Listing",
        right="0",
        wrong="d=$(mktemp -d); mkdir -m 755 $d/p $d/p/DEBIAN; "
        "printf 'Package: ringfence-stray\\nVersion: 0\\nArchitecture: all\\n"
        "Maintainer: x <x@example.org>\\nDescription: nothing\\n' > $d/p/DEBIAN/control; "
        "dpkg-deb -b $d/p $d/p.deb > /dev/null; dpkg -i $d/p.deb > /dev/null; rm -r $d",
        by_hand="dpkg --purge ringfence-stray > /dev/null",
    ),
    "updates_supported_release": Reading(
        read="readlink /etc/os-release; . /etc/os-release; echo $VERSION_ID",
        right={"bookworm": "../usr/lib/os-release\n12", "trixie": "../usr/lib/os-release\n13"},
        wrong="""sed 's/^VERSION_ID=.*/VERSION_ID="10"/' /usr/lib/os-release > /etc/old; """
        "mv /etc/old /etc/os-release",
        by_hand="ln -sf ../usr/lib/os-release /etc/os-release",
    ),
    # Mended by what packages_support_list brings, once /etc/os-release is true again.
    "updates_supported_packages": Reading(
        read="check-support-status --type ended | wc -l",
        right="0",
        wrong="true",
        by_hand="true",
    ),
    "updates_reboot_asked": Reading(
        read="ls /run/reboot-required",
        right="",
        wrong="touch /run/reboot-required; echo dbus > /run/reboot-required.pkgs",
        by_hand="rm /run/reboot-required /run/reboot-required.pkgs",
    ),
    "updates_running_kernel": Reading(
        read="dpkg-query -W -f '${Package}\\n' | grep -Fx linux-image-$(uname -r) | wc -l",
        right="1",
        wrong="true",
        own_kernel=True,
    ),
    "updates_replaced_files": Reading(
        read="grep -lE 'r-xp.* /usr/.*[(]deleted[)]' /proc/[0-9]*/maps | wc -l",
        right="0",
        wrong="cp /usr/bin/sleep /usr/local/bin/stray; "
        "systemd-run -q --collect --unit=stray /usr/local/bin/stray infinity; sleep 0.5; "
        "rm /usr/local/bin/stray",
        by_hand="systemctl stop stray",
    ),
}
