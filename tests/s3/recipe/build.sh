#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs as root inside a new image, in the folder of this file: a whole Ceph of one monitor, one
# storage daemon that keeps objects in memory, and the gateway that speaks S3. It is set up here
# and shut down in order, so that a host which boots from the image has only to start it.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

# shellcheck disable=SC2046
apt-get -qq -o Dpkg::Options::=--force-unsafe-io install --no-install-recommends \
    $(sed 's/#.*//' packages.txt) > /dev/null

cp ceph.conf /etc/ceph/ceph.conf
cp s3-*.service s3.target /etc/systemd/system/
install -m 0755 s3-certificate /usr/local/sbin/s3-certificate
ceph=/var/lib/ceph
fsid=$(sed -n 's/^fsid = //p' ceph.conf)

# Keys, as cephx wants them.
admin=/etc/ceph/ceph.client.admin.keyring
ceph-authtool --create-keyring "$admin" --gen-key -n client.admin \
    --cap mon 'allow *' --cap osd 'allow *' --cap mds 'allow *' --cap mgr 'allow *'
cp "$admin" /root/all.keyring
ceph-authtool /root/all.keyring --gen-key -n mon. --cap mon 'allow *'

mkdir -p $ceph/mon/ceph-a $ceph/osd/ceph-0 $ceph/radosgw/ceph-a /run/ceph
monmaptool --create --clobber --fsid "$fsid" --add a 127.0.0.1:6789 /root/monmap > /dev/null
ceph-mon --mkfs -i a --monmap /root/monmap --keyring /root/all.keyring
ceph-mon -i a --pid-file /run/mon.pid
uuid=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$uuid" > /dev/null
ceph-authtool --create-keyring $ceph/osd/ceph-0/keyring --gen-key -n osd.0
ceph-osd -i 0 --mkfs --no-mon-config --osd-uuid "$uuid" 2> /dev/null
ceph auth add osd.0 mon 'allow profile osd' osd 'allow *' -i $ceph/osd/ceph-0/keyring 2> /dev/null
ceph auth get-or-create client.rgw.a mon 'allow rw' osd 'allow rwx' \
    -o $ceph/radosgw/ceph-a/keyring
ceph osd crush add osd.0 1.0 root=default host=s3 2> /dev/null
ceph-osd -i 0 --pid-file /run/osd.pid

# The gateway makes its pools at its first start.
s3-certificate 127.0.0.1
radosgw -n client.rgw.a --pid-file /run/rgw.pid
python3 - << 'END'
import time
import urllib.error
import urllib.request

for _try in range(240):
    try:
        urllib.request.urlopen("http://127.0.0.1:7480", timeout=5)
        break
    except (urllib.error.URLError, OSError):
        time.sleep(0.5)
else:
    raise SystemExit("radosgw does not answer")
END
radosgw-admin user list > /dev/null

stop() {
    pid=$(cat "$1")
    kill "$pid"
    for _try in $(seq 240); do
        kill -0 "$pid" 2> /dev/null || return 0
        sleep 0.5
    done
    echo "$1: does not end" >&2
    exit 1
}
stop /run/rgw.pid
stop /run/osd.pid
stop /run/mon.pid

# Comes with a package; nothing of it is there to connect to.
systemctl mask --quiet nvmf-autoconnect.service
systemctl enable --quiet s3.target
apt-get clean
rm -f /root/all.keyring /root/monmap /var/log/ceph/*.log
