# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of auditing show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading, modes, unit

# Installed once for all of them. AIDE is kept from most of the host: it is not its speed that is
# shown.
_INSTALL = (
    "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "
    "auditd aide aide-common > /dev/null; "
    "printf '!/usr/(lib|share|bin|include)\\n!/(proc|sys|dev|run)\\n'"
    " > /etc/aide/aide.conf.d/05_small; rm -f /etc/audit/rules.d/*ringfence*"
)
_PEOPLE = "-F auid>=1000 -F auid!=unset"


def _option(name: str, right: str, wrong: str) -> Reading:
    """auditd takes its words in capitals, as Debian writes them, and in small letters."""
    return Reading(
        read=f"sed -n 's/^{name} *= *//p' /etc/audit/auditd.conf | tail -1 | tr A-Z a-z",
        right=right,
        wrong=f"sed -i 's/^{name} .*/{name} = {wrong}/' /etc/audit/auditd.conf",
    )


def _rules(key: str, *right: str) -> Reading:
    """The lines with a key, in the order of the alphabet."""
    return Reading(
        read=f"cat /etc/audit/rules.d/*.rules | grep -e ' -k {key}$' | LC_ALL=C sort",
        right="\n".join(sorted(f"{line} -k {key}" for line in right)),
        wrong=f"sed -i '/ -k {key}$/d' /etc/audit/rules.d/*.rules",
    )


def _watched(*paths: str) -> list[str]:
    return [f"-w {path} -p wa" for path in paths]


def _calls(names: str, conditions: str = _PEOPLE) -> list[str]:
    """A rule for each kind of system calls."""
    calls = " ".join(f"-S {name}" for name in names.split(","))
    kinds = ("b64", "b32")
    return [f"-a always,exit -F arch={kind} {calls} {conditions}".strip() for kind in kinds]


def _run(*programs: str) -> list[str]:
    return [f"-a always,exit -F path={path} -F perm=x {_PEOPLE}" for path in programs]


_FILES = "creat,open,openat,truncate,ftruncate"

READINGS = {
    "auditing_package": Reading(
        read="dpkg -s auditd audispd-plugins | grep ^Status:",
        right="Status: install ok installed\nStatus: install ok installed",
        wrong="true",
        own_kernel=True,
    ),
    "auditing_service": Reading(
        read="systemctl is-enabled auditd; systemctl is-active auditd",
        right="enabled\nactive",
        wrong="systemctl -q disable auditd",
        own_kernel=True,
    ),
    "auditing_log_size": Reading(
        read="sed -n 's/^max_log_file *= *//p' /etc/audit/auditd.conf",
        right="8",
        wrong=f"{_INSTALL}; sed -i 's/^max_log_file .*/max_log_file = 1/' /etc/audit/auditd.conf",
    ),
    "auditing_log_files": _option("num_logs", "10", "2"),
    "auditing_log_full": _option("max_log_file_action", "rotate", "IGNORE"),
    "auditing_space_left": _option("space_left_action", "syslog", "IGNORE"),
    "auditing_little_space_left": _option("admin_space_left_action", "suspend", "IGNORE"),
    "auditing_disk_full": _option("disk_full_action", "suspend", "IGNORE"),
    "auditing_disk_error": _option("disk_error_action", "suspend", "IGNORE"),
    "auditing_log_modes": Reading(
        read="stat -c '%a %U:%G' /var/log/audit/audit.log",
        right="640 root:adm",
        wrong="touch /var/log/audit/audit.log; chown root:adm /var/log/audit/audit.log; "
        "chmod 0666 /var/log/audit/audit.log",
    ),
    "auditing_log_folder": modes("750 root:adm", "0755", "/var/log/audit"),
    "auditing_configuration_modes": modes("640 root:root", "0646", "/etc/audit/auditd.conf"),
    "auditing_programs": modes("755 root:root", "0777", "/usr/sbin/augenrules"),
    "auditing_sudo_rules": _rules("scope", *_watched("/etc/sudoers", "/etc/sudoers.d")),
    "auditing_other_user": _rules(
        "user_emulation", *_calls("execve", "-C euid!=uid -F auid!=unset")
    ),
    "auditing_sudo_log": _rules("sudo_log", *_watched("/var/log/sudo.log")),
    "auditing_clock": _rules(
        "time_change",
        *_calls("adjtimex,settimeofday", ""),
        *_calls("clock_settime", "-F a0=0x0"),
        *_watched("/etc/localtime"),
    ),
    # There is no folder for netplan's files, so nothing can be watched in /etc but its name.
    "auditing_network": _rules(
        "system_locale",
        *_calls("sethostname,setdomainname", ""),
        *_watched("/etc/issue", "/etc/issue.net", "/etc/hosts", "/etc/networks"),
        *_watched("/etc/network", "/etc/netplan", "/etc/systemd/network"),
    ),
    "auditing_privileged_programs": Reading(
        read="find /usr -xdev -type f -perm /6000 | while read program; do "
        'grep -qsF -- "-F path=$program -F perm=x " /etc/audit/rules.d/50-ringfence.rules '
        '|| echo "$program"; done; echo all',
        right="all",
        wrong="sed -i '/ -k privileged$/d' /etc/audit/rules.d/*.rules",
    ),
    "auditing_refused_access": _rules(
        "access",
        *_calls(_FILES, f"-F exit=-EACCES {_PEOPLE}"),
        *_calls(_FILES, f"-F exit=-EPERM {_PEOPLE}"),
    ),
    "auditing_identities": _rules(
        "identity",
        *_watched("/etc/group", "/etc/passwd", "/etc/gshadow", "/etc/shadow"),
        *_watched("/etc/security/opasswd", "/etc/nsswitch.conf", "/etc/pam.conf", "/etc/pam.d"),
    ),
    "auditing_rights": _rules(
        "perm_mod",
        *_calls("chmod,fchmod,fchmodat"),
        *_calls("chown,fchown,lchown,fchownat"),
        *_calls("setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr"),
    ),
    "auditing_mounts": _rules("mounts", *_calls("mount")),
    "auditing_sessions": _rules(
        "session", *_watched("/var/run/utmp", "/var/log/wtmp", "/var/log/btmp")
    ),
    "auditing_sign_ins": _rules("logins", *_watched("/var/log/lastlog", "/var/run/faillock")),
    "auditing_deletions": _rules("delete", *_calls("rename,renameat,renameat2,unlink,unlinkat")),
    "auditing_confinement": _rules("MAC-policy", *_watched("/etc/apparmor", "/etc/apparmor.d")),
    "auditing_rights_programs": _rules(
        "perm_chng", *_run("/usr/bin/chcon", "/usr/bin/setfacl", "/usr/bin/chacl")
    ),
    "auditing_usermod": _rules("usermod", *_run("/usr/sbin/usermod")),
    "auditing_kernel_modules": _rules(
        "kernel_modules",
        *_calls("init_module,finit_module,delete_module,create_module,query_module"),
        *_run("/usr/bin/kmod"),
    ),
    "auditing_entrances": _rules(
        "entrances",
        *_watched("/etc/ssh", "/root/.ssh", "/etc/crontab", "/etc/cron.d", "/var/spool/cron"),
        *_watched("/etc/systemd/system", "/etc/ld.so.preload", "/etc/ld.so.conf.d"),
    ),
    # As many as augenrules put together for the boot, and two groups of them in the kernel's words.
    "auditing_rules_loaded": Reading(
        read="test $(auditctl -l | grep -c '^-[aw]') -eq "
        "$(grep -c '^-[aw]' /etc/audit/audit.rules) && "
        "auditctl -l | grep -c -e 'key=user_emulation' -e '-k identity'",
        right="10",
        wrong="auditctl -w /tmp -p w",
        own_kernel=True,
    ),
    "auditing_integrity": Reading(
        read="dpkg -s aide aide-common | grep ^Status:",
        right="Status: install ok installed\nStatus: install ok installed",
        wrong="apt-get -qq remove -y aide-common > /dev/null",
    ),
    "auditing_integrity_left_out": Reading(
        read="grep -h '^!.*[$])$' /etc/aide/aide.conf.d/00_ringfence",
        right="!/srv(/|$)\n!/var/www(/|$)\n!/var/lib/mysql(/|$)\n!/var/log(/|$)\n"
        "!/var/cache(/|$)\n!/var/backups(/|$)",
        wrong="rm -f /etc/aide/aide.conf.d/00_ringfence",
    ),
    # AIDE itself says that the file was changed, though neither its size nor its time was.
    "auditing_integrity_programs": Reading(
        read="cp -p /usr/sbin/augenrules /run/kept; "
        "printf %s 0 | dd of=/usr/sbin/augenrules bs=1 seek=40 conv=notrunc status=none; "
        "touch -r /run/kept /usr/sbin/augenrules; "
        "aide --config=/etc/aide/aide.conf --check | grep -c '^f.*: /usr/sbin/augenrules$'; "
        "cat /run/kept > /usr/sbin/augenrules; touch -r /run/kept /usr/sbin/augenrules",
        right="1",
        wrong="rm -f /etc/aide/aide.conf.d/00_ringfence",
    ),
    "auditing_integrity_database": Reading(
        read="test -s /var/lib/aide/aide.db && echo there",
        right="there",
        wrong="rm -f /var/lib/aide/aide.db",
        by_hand="for second in $(seq 180); do systemctl is-active ringfence-aide-init "
        "| grep -qx activating || break; sleep 1; done",
    ),
    "auditing_integrity_timer": unit(
        "dailyaidecheck.timer",
        "enabled\nactive",
        "systemctl -q mask --now dailyaidecheck.timer 2> /dev/null",
    ),
}
