# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of logging show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading, unit

_INSTALL = (
    "dpkg -s rsyslog > /dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive "
    "apt-get -qq install -y --no-install-recommends rsyslog > /dev/null"
)


def _journal(option: str, right: str, wrong: str) -> Reading:
    """The last assignment in force; what is wrong comes after all that a distribution brings."""
    return Reading(
        read=f"systemd-analyze cat-config systemd/journald.conf | grep ^{option}= | tail -1",
        right=f"{option}={right}",
        wrong=f"mkdir -p /etc/systemd/journald.conf.d; printf '[Journal]\\n{option}={wrong}\\n' "
        f"> /etc/systemd/journald.conf.d/weak-{option}.conf",
    )


READINGS = {
    "logging_one_system": Reading(
        read="systemctl is-active rsyslog; "
        "systemd-analyze cat-config systemd/journald.conf | grep ^ForwardToSyslog= | tail -1",
        right="active\nForwardToSyslog=yes",
        wrong=f"{_INSTALL}; mkdir -p /etc/systemd/journald.conf.d; "
        "rm -f /etc/systemd/journald.conf.d/zz-ringfence.conf; printf "
        "'[Journal]\\nForwardToSyslog=no\\n' > /etc/systemd/journald.conf.d/weak-forward.conf",
    ),
    # The log has its sockets back as soon as somebody writes to it, so they stop as well.
    "logging_journal_service": Reading(
        read="systemctl is-active systemd-journald.service systemd-journald.socket",
        right="active\nactive",
        wrong="systemctl -q stop systemd-journald.socket systemd-journald-dev-log.socket "
        "systemd-journald-audit.socket systemd-journald.service",
    ),
    "logging_journal_storage": _journal("Storage", "persistent", "volatile"),
    "logging_journal_compression": _journal("Compress", "yes", "no"),
    "logging_journal_size": _journal("SystemMaxUse", "1024M", "8G"),
    "logging_journal_free_space": _journal("SystemKeepFree", "512M", "1K"),
    "logging_journal_memory": _journal("RuntimeMaxUse", "64M", "2G"),
    "logging_journal_free_memory": _journal("RuntimeKeepFree", "64M", "0"),
    "logging_journal_retention": _journal("MaxRetentionSec", "90day", "10years"),
    "logging_journal_file_days": _journal("MaxFileSec", "7day", "1year"),
    "logging_journal_reception": unit(
        "systemd-journal-remote.socket",
        "disabled\ninactive",
        "printf '[Socket]\\nListenStream=127.0.0.1:19532\\nAccept=yes\\n[Install]\\n"
        "WantedBy=sockets.target\\n' > /etc/systemd/system/systemd-journal-remote.socket; "
        "printf '[Service]\\nExecStart=/bin/cat\\n' "
        "> /etc/systemd/system/systemd-journal-remote@.service; "
        "systemctl daemon-reload; systemctl -q enable --now systemd-journal-remote.socket",
    ),
    # Nobody declares a log host for the test hosts: not asked for, as on their own kernel.
    "logging_journal_upload": Reading(
        read="dpkg -s systemd-journal-remote > /dev/null 2>&1 || echo none",
        right="none",
        wrong="true",
        own_kernel=True,
    ),
    "logging_rsyslog_service": unit(
        "rsyslog.service", "enabled\nactive", "systemctl -q disable --now rsyslog.service"
    ),
    "logging_rsyslog_file_mode": Reading(
        read="grep -h '^.FileCreateMode' /etc/rsyslog.conf /etc/rsyslog.d/*.conf; "
        "rsyslogd -N1 > /dev/null 2>&1 && echo valid",
        right="$FileCreateMode 0640\nvalid",
        wrong="sed -i 's/^.FileCreateMode .*/$FileCreateMode 0666/' /etc/rsyslog.conf",
    ),
    "logging_rsyslog_reception": Reading(
        read="systemctl is-active rsyslog; ss -Hlunp | grep -c rsyslogd",
        right="active\n0",
        wrong='printf \'module(load="imudp")\\ninput(type="imudp"\\n      port="10514")\\n\' '
        "> /etc/rsyslog.d/10-weak.conf",
    ),
    "logging_forwarding": Reading(
        read="ls /etc/rsyslog.d/90-ringfence-forwarding.conf 2> /dev/null || echo none",
        right="none",
        wrong="true",
        own_kernel=True,
    ),
    "logging_forwarding_encrypted": Reading(
        read="grep -c @192.0.2.1 /etc/rsyslog.d/20-weak.conf",
        right="",
        wrong="echo 'auth.* @192.0.2.1' > /etc/rsyslog.d/20-weak.conf",
        by_hand="rm /etc/rsyslog.d/20-weak.conf; systemctl restart rsyslog",
    ),
    "logging_rotation": unit(
        "logrotate.timer", "enabled\nactive", "systemctl -q disable --now logrotate.timer"
    ),
    "logging_files": Reading(
        # apt sets the modes of two files itself, each time it runs.
        read="find /var/log -type f -perm /0137 ! -name '[wb]tmp*' ! -name 'lastlog*'"
        " ! -name faillog ! -path /var/log/apt/history.log ! -path /var/log/apt/eipp.log.xz;"
        " stat -c '%a %n' /var/log/weak.log",
        right="640 /var/log/weak.log",
        wrong="touch /var/log/weak.log; chmod 0666 /var/log/weak.log",
    ),
}
