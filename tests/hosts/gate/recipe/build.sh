#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs as root inside a new image, in the folder of this file: what roles install, and a
# certificate for the sign-in page. The packages are only fetched: installing them is the roles'.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get -qq update
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/90unsafe
echo 'APT::Keep-Downloaded-Packages "true";' > /etc/apt/apt.conf.d/90keep
apt-get -qq install --no-install-recommends --download-only \
    lemonldap-ng-fastcgi-server liblemonldap-ng-portal-perl lua-socket qrencode \
    fail2ban python3-pyinotify python3-systemd > /dev/null
printf 'subjectAltName=DNS:gate.example\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' \
    > /root/extensions
openssl req -newkey rsa:2048 -nodes -subj /CN=gate.example \
    -keyout /etc/ssl/private/gate.example.key -out /root/request.pem 2> /dev/null
openssl x509 -req -days 3650 -in /root/request.pem -CA /etc/ssl/certs/sites-ca.pem \
    -CAkey /etc/ssl/private/sites-ca.key -extfile /root/extensions \
    -out /etc/ssl/certs/gate.example.pem 2> /dev/null
cat /etc/ssl/certs/sites-ca.pem >> /etc/ssl/certs/gate.example.pem
chmod 0600 /etc/ssl/private/gate.example.key
rm -f /root/request.pem /root/extensions
