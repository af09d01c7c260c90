# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role kernel has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

KERNEL = FAMILIES["kernel"]
# Only told of: a person decides how the host gets its address.
_LEFT_ALONE = ("kernel_router_advertisements",)


@pytest.mark.parametrize(
    "name",
    [name for name, r in KERNEL.items() if not r.own_kernel and name not in _LEFT_ALONE],
)
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(KERNEL[name].read) == KERNEL[name].expected(release)


@pytest.mark.parametrize(
    ("family", "setting"),
    [
        ("ipv4", "accept_redirects"),
        ("ipv4", "secure_redirects"),
        ("ipv4", "send_redirects"),
        ("ipv4", "accept_source_route"),
        ("ipv6", "accept_redirects"),
        ("ipv6", "accept_source_route"),
    ],
)
def test_every_interface_follows(root: Shell, family: str, setting: str) -> None:
    assert root(f"cat /proc/sys/net/{family}/conf/*/{setting} | sort -u") == "0"


def test_a_new_interface_follows(root: Shell) -> None:
    said = root(
        "ip link add fresh type veth peer name stale; "
        "cat /proc/sys/net/ipv[46]/conf/fresh/accept_redirects; ip link del fresh"
    )
    assert said.split() == ["0", "0"]


def test_the_settings_of_the_shared_kernel_are_not_touched(root: Shell) -> None:
    assert root("grep -hE '^(kernel|fs)\\.' /etc/sysctl.d/zz-ringfence*.conf") == ""
