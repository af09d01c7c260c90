# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with a kernel of its own that was weakened, brought to its controls, and rebooted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest

from tests.fleet import Fleet
from tests.fleet.vm import STATE, Machine
from tests.hosts.playing import evidence, play
from tests.testinfra.machine import (
    MOUNTED,
    OWN_KERNEL,
    RADIO,
    before,
    person_signs_in,
    read,
    token,
)
from tests.testinfra.readings import FAMILIES

# A person decides on these, and nobody did here.
UNDECIDED = ("kernel_router_advertisements", "ssh_allowed_groups")
# What an audit finds all the same: decisions of a person, the firewall that is a playbook of its
# own, and a clock that no time server is there for.
LEFT = {
    "accounts_homes_mode",
    "firewall_at_boot",
    "firewall_default_deny",
    "firewall_established",
    "firewall_loopback",
    "kernel_router_advertisements",
    "services_time_right",
    "sudo_passwordless_rules",
}
# Read here as well as in the containers: that they outlive a boot is not shown there.
LASTING = {
    **{
        name: reading
        for family in ("kernel", "ssh")
        for name, reading in FAMILIES[family].items()
        if name not in (*RADIO, *UNDECIDED)
    },
    **{name: FAMILIES["filesystem"][name] for name in (*MOUNTED, "filesystem_boot_configuration")},
    "packages_apparmor": FAMILIES["packages"]["packages_apparmor"],
    **{
        name: reading
        for family in ("auditing", "boot")
        for name, reading in FAMILIES[family].items()
        if reading.own_kernel
    },
}
# Its hundreds of files of rules take software emulation minutes; containers show it.
_WITHOUT_AIDE = ("-e", "auditing_integrity=absent")
# What no control says in these words; literal answers of the machine itself.
PLAIN = {
    "up since the reboot": ("test $(cut -d. -f1 /proc/uptime) -lt 1800 && echo yes", "yes"),
    "auditd": ("systemctl is-active auditd; auditctl -s | grep -c '^enabled 1'", "active\n1"),
    "apparmor": ("cat /sys/module/apparmor/parameters/enabled", "Y"),
    "modules": (
        "modprobe sctp || echo refused; grep -cE '^(sctp|dccp|rds|tipc) ' /proc/modules",
        "refused\n0",
    ),
    "no guard is armed": ("ls /var/lib/ringfence/guard/armed.json || echo none", "none"),
    "no unit has failed": ("systemctl list-units --state=failed --no-legend --plain", ""),
    "the kernel's log": (
        "runuser -u nobody -- dmesg > /dev/null 2>&1 || echo kept from everybody else",
        "kept from everybody else",
    ),
    "addresses of the kernel": (
        "runuser -u nobody -- head -1 /proc/kallsyms | cut -d' ' -f1",
        "0000000000000000",
    ),
    "a program in shared memory": (
        "cp /bin/true /dev/shm/true; /dev/shm/true || echo refused; rm /dev/shm/true",
        "refused",
    ),
}


@pytest.fixture(scope="module")
def directory() -> Path:
    path = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "machine"
    if not (path / STATE).exists():
        pytest.skip("no virtual machine can run here")
    return path


@pytest.fixture(scope="module")
def machine(directory: Path) -> Machine:
    return Machine.attach(directory)


@pytest.fixture(scope="module")
def said(machine: Machine) -> dict[str, str]:
    """Everything that is read, in one sign-in."""
    scripts = {name: reading.read for name, reading in LASTING.items()}
    return read(machine, scripts | {name: script for name, (script, _right) in PLAIN.items()})


@pytest.fixture(scope="module")
def audited(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The run document of an audit by the user's own playbook."""
    folder = tmp_path_factory.mktemp("evidence")
    done = play(cast(Fleet, machine), "audit.yml", *_WITHOUT_AIDE, evidence_in=folder)
    assert done.returncode == 0, done.output
    return evidence(folder)


@pytest.mark.parametrize("name", [*OWN_KERNEL, *MOUNTED])
def test_was_wrong_before(directory: Path, name: str) -> None:
    assert before(directory)[name] != LASTING[name].expected("bookworm")


@pytest.mark.parametrize("name", LASTING)
def test_holds_after_the_reboot(said: dict[str, str], name: str) -> None:
    assert said[name] == LASTING[name].expected("bookworm")


@pytest.mark.parametrize("name", PLAIN)
def test_the_machine_itself_says_so(said: dict[str, str], name: str) -> None:
    assert said[name] == PLAIN[name][1]


def test_without_a_code_nobody_signs_in(machine: Machine) -> None:
    done = person_signs_in(machine, "")
    assert (done.came_in, done.asked) == (False, 1), done.said


def test_the_code_of_the_enrolment_is_refused(machine: Machine, directory: Path) -> None:
    done = person_signs_in(machine, token(directory).used)
    assert (done.came_in, done.asked) == (False, 1), done.said


def test_key_and_code_sign_in(machine: Machine, directory: Path) -> None:
    done = person_signs_in(machine, token(directory).code())
    assert done.came_in, done.said
    assert done.asked == 1


def test_an_audit_finds_nothing_lost(audited: dict[str, Any]) -> None:
    (host,) = audited["hosts"]
    assert host["state"] == "ok"
    assert [row for row in host["results"] if row["status"] == "error"] == []
    # Whether the clock was set meanwhile is the network's, not ours.
    wrong = {row["id"] for row in host["results"] if row["status"] == "fail"}
    assert wrong | {"services_time_right"} == LEFT
    passed = {row["id"] for row in host["results"] if row["status"] == "pass"}
    assert passed >= {*OWN_KERNEL, *MOUNTED}
