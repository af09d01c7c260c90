# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of boot show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading, unit

# Neither the containers nor the virtual machine are booted by GRUB.
_GRUB = "grep -o BOOT_IMAGE= /proc/cmdline || echo not by GRUB"


def _not_by_grub() -> Reading:
    return Reading(read=_GRUB, right="not by GRUB", wrong="true", own_kernel=True)


READINGS = {
    "boot_menu_password": _not_by_grub(),
    "boot_rescue_password": Reading(
        read="systemctl cat rescue.service emergency.service | grep -c SULOGIN_FORCE; "
        "systemctl cat rescue.service emergency.service | grep -c ^ExecStart=.*sulogin",
        right="0\n2",
        wrong="mkdir -p /etc/systemd/system/rescue.service.d; "
        "printf '[Service]\\nEnvironment=SYSTEMD_SULOGIN_FORCE=1\\n'"
        " > /etc/systemd/system/rescue.service.d/open.conf; systemctl daemon-reload",
        by_hand="rm -r /etc/systemd/system/rescue.service.d; systemctl daemon-reload",
    ),
    "boot_ctrl_alt_del": Reading(
        read="systemctl show -P LoadState ctrl-alt-del.target",
        right="masked",
        wrong="systemctl -q unmask ctrl-alt-del.target",
    ),
    "boot_crash_dumps": unit(
        "kdump-tools.service",
        "disabled\ninactive",
        "printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\n"
        "WantedBy=multi-user.target\\n' > /etc/systemd/system/kdump-tools.service; "
        "systemctl daemon-reload; systemctl -q enable --now kdump-tools.service",
    ),
    "boot_audit": _not_by_grub(),
    "boot_audit_backlog": _not_by_grub(),
    "boot_apparmor_argument": _not_by_grub(),
    "boot_apparmor": Reading(
        read="cat /sys/module/apparmor/parameters/enabled",
        right="Y",
        wrong="true",
        own_kernel=True,
    ),
    "boot_apparmor_service": Reading(
        read="systemctl is-enabled apparmor; systemctl is-active apparmor",
        right="enabled\nactive",
        wrong="systemctl -q disable --now apparmor",
        own_kernel=True,
    ),
    "boot_apparmor_profiles": Reading(
        read="grep -cE ' .(enforce|complain|kill).$' /sys/kernel/security/apparmor/profiles"
        " | grep -vx 0 > /dev/null && echo some hold",
        right="some hold",
        wrong="cut -d' ' -f1 /sys/kernel/security/apparmor/profiles | while read name; do "
        'printf %s "$name" > /sys/kernel/security/apparmor/.remove; done',
        own_kernel=True,
    ),
    "boot_apparmor_processes": Reading(
        read="aa-status --json | python3 -c "
        '\'import json, sys; print([name for name, seen in json.load(sys.stdin)["processes"].'
        'items() if any(one["status"] == "unconfined" for one in seen)])\'',
        right="[]",
        wrong="true",
        own_kernel=True,
    ),
}
