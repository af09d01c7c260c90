# SPDX-License-Identifier: GPL-3.0-or-later
# Goes on from prepare.sh inside the root of a virtual machine.

printf '/dev/vda / ext4 errors=remount-ro 0 1\n' > /etc/fstab

# The emulator's network is always the same.
cat > /etc/systemd/network/10-fleet.network <<'UNIT'
[Match]
Type=ether

[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
IPv6AcceptRA=yes
UNIT
systemctl enable --quiet systemd-networkd.service
systemctl disable --quiet systemd-networkd-wait-online.service
rm -f /etc/resolv.conf
printf 'nameserver 10.0.2.3\n' > /etc/resolv.conf

# One disk serves every machine; what makes one itself is a tar file on its second disk.
cat > /etc/systemd/system/fleet-identity.service <<'UNIT'
[Unit]
Description=Take this machine's keys and name from its second disk
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target ssh.service

[Service]
Type=oneshot
ExecStart=/bin/tar --extract --file=/dev/vdb --directory=/ --numeric-owner
ExecStart=/bin/hostname --file /etc/hostname

[Install]
WantedBy=sysinit.target
UNIT
systemctl enable --quiet fleet-identity.service
