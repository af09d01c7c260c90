# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of sudo show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading, modes

# The settings that sudo itself says hold for root, one a line.
_DEFAULTS = "sudo -l -U root | sed -n '/^Matching/,/^$/p' | tr ',' '\\n' | sed 's/^ *//'"
_WEAK = "echo '{}' >> /etc/sudoers.d/50-weak"


def _setting(pattern: str, right: str, weak: str, by_hand: str = "") -> Reading:
    """The last one counts."""
    return Reading(
        read=f"{_DEFAULTS} | grep -x '{pattern}' | tail -1",
        right=right,
        wrong=_WEAK.format(f"Defaults {weak}"),
        by_hand=by_hand,
    )


READINGS = {
    # The program stays where it is, for it is how these tests come in.
    "sudo_installed": Reading(
        read="dpkg -s sudo | grep ^Status:",
        right="Status: install ok installed",
        wrong="sed -i '/^Package: sudo$/,/^$/s/^Status: .*/Status: deinstall ok config-files/' "
        "/var/lib/dpkg/status",
    ),
    "sudo_terminal": _setting("!*use_pty", "use_pty", "!use_pty"),
    "sudo_log_file": Reading(
        read="sudo -u nobody true; "
        "grep -q 'COMMAND=/usr/bin/true' /var/log/sudo.log && echo logged; "
        "stat -c %a /var/log/sudo.log; logrotate -d /etc/logrotate.d/ringfence-sudo 2>&1 "
        "| grep -c '^rotating pattern: /var/log/sudo.log'",
        right="logged\n600\n1",
        wrong="rm -f /var/log/sudo.log; " + _WEAK.format("Defaults !logfile"),
    ),
    "sudo_authentication": _setting("!*authenticate", "authenticate", "!authenticate"),
    "sudo_passwordless_rules": Reading(
        read="grep -rlE '^[^#]*NOPASSWD' /etc/sudoers /etc/sudoers.d | xargs cat "
        "| grep -E '^[^#]*NOPASSWD' | cut -d' ' -f1",
        right="ops",
        wrong=_WEAK.format("%www-data ALL=(root) NOPASSWD: /usr/bin/systemctl"),
        by_hand="sed -i /NOPASSWD/d /etc/sudoers.d/50-weak",
    ),
    "sudo_rules_without_gaps": Reading(
        read="sudo -l -U backup | grep -c '!/'",
        right="0",
        wrong=_WEAK.format("backup ALL=(ALL) ALL, !/usr/bin/su"),
        by_hand="sed -i /^backup/d /etc/sudoers.d/50-weak",
    ),
    "sudo_remembered_time": _setting(
        "timestamp_timeout=.*", "timestamp_timeout=15", "timestamp_timeout=-1"
    ),
    "sudo_secure_path": Reading(
        read="sudo sh -c 'echo $PATH'",
        right="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        wrong=_WEAK.format('Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin:/tmp/bin"'),
    ),
    "sudo_clean_environment": Reading(
        read="STRAY=1 sudo env | grep -c ^STRAY=",
        right="0",
        wrong=_WEAK.format("Defaults !env_reset"),
    ),
    "sudo_hidden_password": _setting("!*pwfeedback", "!pwfeedback", "pwfeedback"),
    "sudo_config_mode": modes("440 root:root", "0444", "/etc/sudoers"),
    "sudo_folder_mode": modes("750 root:root", "0755", "/etc/sudoers.d"),
    # An ordinary account is turned away whatever it answers; root goes on.
    "sudo_su_group": Reading(
        read="runuser -u nobody -- su -s /bin/sh root -c true < /dev/null 2>&1 | tail -1; "
        "su -s /bin/sh nobody -c 'id -un'; getent group suusers | cut -d: -f1,4",
        right="Password: su: Permission denied\nnobody\nsuusers:",
        wrong="sed -i /pam_wheel.so/d /etc/pam.d/su",
    ),
    "sudo_no_current_folder": _setting("!*ignore_dot", "ignore_dot", "!ignore_dot"),
}
