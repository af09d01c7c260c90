#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# An authority that speaks ACME (Caddy), and certbot, so that no test waits for a mirror.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get -qq -o Dpkg::Options::=--force-unsafe-io install --no-install-recommends \
    caddy certbot > /dev/null
systemctl disable --quiet caddy.service certbot.timer
apt-get clean
