# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of filesystem show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading, modes, mount

_LOCAL = "find / -xdev -path /proc -prune -o -path /sys -prune -o"
_CRON = [f"/etc/cron.{name}" for name in ("d", "hourly", "daily", "weekly", "monthly")]
_OPEN_MOUNT = "echo '{0} {0} none rbind 0 0' >> /etc/fstab; mount --rbind {0} {0}"
_AS_NOBODY = "setpriv --reuid=65534 --regid=65534"


def _own_mount(path: str, *right: str) -> Reading:
    """Bound onto itself: a mount of its own that holds what was there before."""
    return mount(path, f"mkdir -p {path}; {_OPEN_MOUNT.format(path)}", *right)


READINGS = {
    # Outer ones first: what is mounted below them must stay on top.
    "filesystem_var": _own_mount("/var", "nodev", "nosuid"),
    "filesystem_logs": _own_mount("/var/log", "nodev", "nosuid", "noexec"),
    "filesystem_audit_logs": _own_mount("/var/log/audit", "nodev", "nosuid", "noexec"),
    "filesystem_homes": _own_mount("/home", "nodev", "nosuid"),
    "filesystem_sites": _own_mount("/srv", "nodev", "nosuid"),
    "filesystem_added_programs": _own_mount("/opt", "nodev", "nosuid"),
    "filesystem_boot": _own_mount("/boot", "nodev", "nosuid", "noexec"),
    "filesystem_processes": Reading(
        read=f"{_AS_NOBODY} --clear-groups test -e /proc/1/status && echo seen by anybody; "
        f"{_AS_NOBODY} --groups=adm test -e /proc/1/status && echo seen by the group; "
        "awk '$2 == \"/proc\" {print $4}' /etc/fstab; "
        "systemctl show --property=MainPID --value systemd-logind.service | "
        "xargs -I % grep -cw '^Groups:.*4' /proc/%/status",
        right="seen by the group\nnosuid,nodev,noexec,hidepid=2,gid=4\n1",
        wrong="true",
    ),
    "filesystem_compilers": Reading(
        read="stat -c '%a %U:%G' /usr/bin/i686-linux-gnu-as",
        right="750 root:root",
        wrong="install -m 755 /bin/true /usr/bin/i686-linux-gnu-as",
    ),
    "filesystem_account_files": modes("644 root:root", "0666", "/etc/passwd", "/etc/group"),
    "filesystem_password_files": modes("640 root:shadow", "0644", "/etc/shadow", "/etc/gshadow"),
    "filesystem_old_passwords": modes("600 root:root", "0644", "/etc/security/opasswd"),
    "filesystem_sudo_rules": Reading(
        read="stat -c '%a %U:%G' /etc/sudoers /etc/sudoers.d/* | sort -u",
        right="440 root:root",
        wrong="chmod 0644 /etc/sudoers.d/*",
    ),
    "filesystem_crontab": modes("600 root:root", "0666", "/etc/crontab"),
    "filesystem_cron_folders": modes("700 root:root", "0777", *_CRON),
    "filesystem_root_home": modes("700 root:root", "0755", "/root"),
    "filesystem_boot_configuration": Reading(
        read="stat -c '%a %U:%G' /boot/grub/grub.cfg",
        right="600 root:root",
        wrong="mkdir -p /boot/grub; touch /boot/grub/grub.cfg; chmod 0644 /boot/grub/grub.cfg",
        own_kernel=True,
    ),
    "filesystem_shared_memory": mount(
        "/dev/shm", "mount -o remount,bind,rw,suid,dev,exec /dev/shm", "nodev", "nosuid", "noexec"
    ),
    "filesystem_temporary_files": mount(
        "/tmp",
        "mountpoint -q /tmp || mount -t tmpfs tmpfs /tmp; mount -o remount,bind,rw,suid,dev /tmp",
        "nodev",
        "nosuid",
    ),
    "filesystem_kept_temporary_files": mount(
        "/var/tmp", "mount -t tmpfs tmpfs /var/tmp", "nodev", "nosuid"
    ),
    "filesystem_search": Reading(
        read="findmnt -rn -o TARGET,FSTYPE | grep -c '^/mnt/elsewhere '",
        right="0",
        wrong="mkdir -p /mnt/elsewhere"
        " && mount -t overlay overlay -o lowerdir=/etc/default:/etc/skel /mnt/elsewhere",
        by_hand="umount /mnt/elsewhere",
    ),
    "filesystem_open_files": Reading(
        read=f"{_LOCAL} -type f -perm -0002 -print | wc -l",
        right="0",
        wrong="printf x > '/opt/open to\nall'; chmod 0666 /opt/open*",
        by_hand="rm /opt/open*",
    ),
    "filesystem_open_folders": Reading(
        read=f"{_LOCAL} -type d -perm -0002 ! -perm -1000 -print; stat -c %a /opt/drop",
        right="1777",
        wrong="mkdir -p /opt/drop; chmod 0777 /opt/drop",
    ),
    "filesystem_shared_folders": Reading(
        read=f"{_LOCAL} -type d -perm -0002 ! -user root -print | wc -l",
        right="0",
        wrong="mkdir -p /opt/ones; chown nobody /opt/ones; chmod 1777 /opt/ones",
        by_hand="rmdir /opt/ones",
    ),
    "filesystem_unowned_files": Reading(
        read=f"{_LOCAL} ( -nouser -o -nogroup ) -print | wc -l".replace("(", "'('").replace(
            ")", "')'"
        ),
        right="0",
        wrong="touch /opt/left; chown 54321:54321 /opt/left",
        by_hand="rm /opt/left",
    ),
    "filesystem_setuid_unpackaged": Reading(
        read="find /usr/local /opt -type f -perm /6000 -print | wc -l",
        right="0",
        wrong="cp /bin/true /usr/local/bin/odd; chmod 4755 /usr/local/bin/odd",
        by_hand="rm /usr/local/bin/odd",
    ),
    "filesystem_setuid_unexpected": Reading(
        read="stat -L -c %a /usr/bin/tac",
        right="755",
        wrong="chmod 4755 /usr/bin/tac",
        by_hand="chmod 0755 /usr/bin/tac",
    ),
    "filesystem_setuid_changed": Reading(
        # Files of configuration, marked c, are for other controls to change.
        read="dpkg --verify passwd | grep -ve ^missing -e ' c '",
        right="",
        wrong="cp -p /usr/bin/expiry /root/expiry; printf x >> /usr/bin/expiry;"
        " chmod 2755 /usr/bin/expiry",
        by_hand="cat /root/expiry > /usr/bin/expiry; chmod 2755 /usr/bin/expiry; rm /root/expiry",
    ),
}
