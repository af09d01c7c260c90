#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What bans need, so that no test waits for a mirror.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get -qq -o Dpkg::Options::=--force-unsafe-io install --no-install-recommends \
    fail2ban python3-pyinotify python3-systemd openssh-client > /dev/null
systemctl disable --quiet fail2ban.service
apt-get clean
# The central list's, to be installed by the role itself.
apt-get -qq --download-only install --no-install-recommends crowdsec > /dev/null
