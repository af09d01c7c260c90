#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Readies a Debian machine for `make demo` and `make test`: system packages by apt, then
# .venv from requirements.lock. Does nothing, in no time, when everything is there.
#
#   tools/setup.sh [--vm] [--browser] [--database]
#     --vm        also what a virtual machine needs; goes on without where it cannot be had
#     --browser   also Chromium, to look at reports as people do
#     --database  also PostgreSQL's programs, for evidence that a team shares; no server is started
set -euo pipefail
cd "$(dirname "$0")/.."

base=(podman runc conmon netavark aardvark-dns iptables nftables iproute2 mmdebstrap openssh-client
    debian-archive-keyring ca-certificates git python3-venv shellcheck age
    libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core poppler-utils)
vm=(qemu-system-x86 qemu-utils e2fsprogs cpio)
browser=(chromium chromium-driver)
want_vm='' want_browser='' want_database=''
fail() {
    echo "setup: $*" >&2
    exit 1
}

for argument in "$@"; do
    case $argument in
        --vm) want_vm=yes ;;
        --browser) want_browser=yes ;;
        --database) want_database=yes ;;
        *) fail "unknown option $argument; expected --vm, --browser or --database" ;;
    esac
done

missing() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            echo "$package"
    done
}

enabled_units() {
    command -v systemctl >/dev/null || return 0
    systemctl list-unit-files --state=enabled --no-legend 2>/dev/null | awk '{print $1}' | sort
}

# A package may enable and start services of its own, such as podman's socket. Test hosts
# need none of them, so this machine keeps running what it ran before.
apt_install() {
    local before units
    before=$(enabled_units)
    export DEBIAN_FRONTEND=noninteractive
    if [[ -z ${updated:-} ]]; then
        apt-get -qq update
        updated=yes
    fi
    apt-get -qq install --yes --no-install-recommends \
        -o Dpkg::Options::=--force-confold "$@" >/dev/null || return
    mapfile -t units < <(comm -13 <(echo "$before") <(enabled_units))
    ((${#units[@]})) || return 0
    systemctl disable --quiet --now "${units[@]}" || true
    echo "setup: apt had enabled ${units[*]}; disabled again"
}

install_packages() {
    local what=$1 packages
    shift
    mapfile -t packages < <(missing "$@")
    ((${#packages[@]})) || return 0
    echo "setup: $what: apt will install ${packages[*]}"
    ((EUID == 0)) || fail "needs root for that; run: apt-get install ${packages[*]}"
    apt_install "${packages[@]}"
}

find_python() {
    local candidate
    # Debian's own first: its version is the one that the lock file was made with.
    for candidate in /usr/bin/python3 python3.11 python3.12; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or 3.12 found; expected Debian 12's /usr/bin/python3"
}

make_venv() {
    local python stamp
    python=$(find_python)
    stamp=$({ "$python" -V && cat requirements.lock pyproject.toml && pwd; } | sha256sum)
    [[ $(cat .venv/setup-stamp 2>/dev/null) != "$stamp" || ! -x .venv/bin/python ]] || return 0
    echo "setup: .venv: pip will install the $(grep -c == requirements.lock) packages of requirements.lock"
    [[ -x .venv/bin/pip ]] || "$python" -m venv --clear .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
    echo "$stamp" >.venv/setup-stamp
}

[[ -r /etc/debian_version ]] || fail "expected a Debian machine"
mkdir -p .cache
exec 9>.cache/setup.lock
flock 9

install_packages "test hosts and tools" "${base[@]}"
if [[ -n $want_vm ]]; then
    install_packages "virtual machine" "${vm[@]}" ||
        echo "setup: no qemu to be had here; tests in a virtual machine will be skipped"
fi
if [[ -n $want_browser ]] && ! command -v chromedriver >/dev/null; then
    install_packages "browser" "${browser[@]}"
fi
if [[ -n $want_database ]] && ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
    # Debian's package would make and start a server of its own.
    no_server=/etc/postgresql-common/createcluster.d/ringfence.conf
    ((EUID)) || { mkdir -p "${no_server%/*}" && echo 'create_main_cluster = false' >"$no_server"; }
    install_packages "database" postgresql
    rm -f "$no_server"
fi
make_venv
