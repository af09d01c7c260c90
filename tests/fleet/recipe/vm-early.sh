#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs on this machine with the new root as $1, before the kernel is installed: its
# installation makes the initial ramdisk, which needs no more than the root's drivers.
set -eu
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
printf 'MODULES=list\nCOMPRESS=zstd\n' > "$1/etc/initramfs-tools/conf.d/fleet"
printf '%s\n' virtio_pci virtio_blk ext4 > "$1/usr/share/initramfs-tools/modules.d/fleet"
