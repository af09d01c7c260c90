# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role leaves on a host: who runs what, who can read what, and what a stranger is told."""

from __future__ import annotations

import pytest
from testinfra.host import Host

CURL = "curl -ks -o /dev/null -w '%{http_code} %{redirect_url}' --path-as-is"
HERE = "--resolve choir.example:443:127.0.0.1 --resolve gate.example:443:127.0.0.1"


def test_the_portal_runs_as_itself_and_debians_own_unit_does_not(host: Host) -> None:
    with host.sudo():
        assert host.service("ringfence-gate").is_running
        assert host.service("ringfence-gate").is_enabled
        shown = host.check_output("systemctl show -p User,ProtectSystem ringfence-gate")
        assert sorted(shown.split()) == ["ProtectSystem=strict", "User=ringfence-gate"]
        assert host.run("systemctl is-active lemonldap-ng-fastcgi-server").stdout != "active\n"


@pytest.mark.parametrize(
    ("path", "mode", "owner"),
    [
        ("/var/lib/ringfence-gate", 0o700, "ringfence-gate"),
        ("/var/lib/ringfence-gate/users", 0o700, "ringfence-gate"),
        ("/etc/ringfence-gate/conf/lmConf-1.json", 0o640, "root"),
        ("/run/ringfence-gate", 0o750, "ringfence-gate"),
    ],
)
def test_who_can_read_what(host: Host, path: str, mode: int, owner: str) -> None:
    with host.sudo():
        found = host.file(path)
        assert (found.mode, found.user) == (mode, owner)
        assert host.run(f"runuser -u www-data -- cat {path}").rc != 0


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("https://choir.example/", "200 "),
        ("https://choir.example/private/", "302 https://gate.example/?url="),
        ("https://choir.example//private/index.html", "302 https://gate.example/?url="),
        ("https://gate.example/", "200 "),
        ("https://gate.example/sessions/global", "404 "),
        ("https://gate.example/enrol/" + "x" * 43, "404 "),
    ],
)
def test_what_a_stranger_is_told(host: Host, path: str, said: str) -> None:
    with host.sudo():
        assert host.check_output(f"{CURL} {HERE} '{path}'").startswith(said)
