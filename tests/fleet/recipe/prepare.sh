#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs as root inside a new image, after its packages are installed.
set -eu

# The administrator that Ansible signs in as: an ordinary user, never root.
useradd --uid 1000 --create-home --shell /bin/bash ops
printf 'ops ALL=(ALL:ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
visudo -cqf /etc/sudoers.d/ops

# Every host gets its own identity when it is started.
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id

# A container sees /proc/sys read-only, so that it cannot change the kernel that it
# shares. /proc/sys/net belongs to its own network namespace and can safely be writable;
# before systemd-sysctl, so that persisted values are read at boot as on any server.
cat > /etc/systemd/system/fleet-proc-sys-net.service <<'UNIT'
[Unit]
Description=Make this container's own network settings writable
DefaultDependencies=no
ConditionVirtualization=container
Before=systemd-sysctl.service sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount --bind /proc/sys/net /proc/sys/net
ExecStart=/bin/mount -o remount,rw,bind /proc/sys/net

[Install]
WantedBy=sysinit.target
UNIT
systemctl enable --quiet fleet-proc-sys-net.service
systemctl set-default --quiet multi-user.target

if command -v update-ca-certificates > /dev/null; then
    update-ca-certificates > /dev/null
fi
