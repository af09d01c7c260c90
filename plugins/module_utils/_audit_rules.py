# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules of the kernel's audit: one form for all the ways in which a rule can be written."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

RULES_FOLDER = "/etc/audit/rules.d"
_ALL = "all"
_UNSET = re.compile(r"(auid|loginuid)(!?=)(?:-1|4294967295|unset)$")
# Calls that a kernel for 64-bit ARM never had: auditctl refuses a rule that names them.
_NOT_ON_ARM = frozenset(
    (
        *("open", "creat", "chmod", "chown", "lchown", "rename", "unlink", "link", "symlink"),
        *("mkdir", "rmdir", "mknod", "stime", "create_module", "query_module"),
    )
)


class Rule(NamedTuple):
    """What must be true of a call (`conditions`), and of which calls; no calls means all."""

    conditions: frozenset[str]
    calls: frozenset[str]


def parse(line: str) -> Rule | None:
    """The rule in a line as auditctl takes or prints it; None for comments and settings."""
    words = line.split()
    if not words or words[0] not in ("-a", "-A", "-w"):
        return None
    conditions, calls = set(), set()
    watched = words[0] == "-w"
    if watched:
        conditions.add("always,exit")
    for option, value in pairwise(words):
        if option in ("-a", "-A"):
            conditions.add(",".join(sorted(value.split(","))))
        elif option == "-w":
            conditions.add(f"path={value.rstrip('/') or '/'}")
        elif option == "-S":
            calls |= set(value.split(","))
        elif option == "-p":
            conditions.add(_permissions(value))
        elif option == "-F" and not value.startswith("key="):
            conditions.add(_field(value))
        elif option == "-C":
            conditions.add(_comparison(value))
    if watched and "-p" not in words:
        conditions.add(_permissions("rwxa"))
    return Rule(frozenset(conditions), frozenset(calls - {_ALL}))


class Known:
    """Rules that are there, asked whether they record what another rule would."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._calls: dict[frozenset[str], set[str]] = {}
        for rule in rules:
            self._calls.setdefault(rule.conditions, set()).update(rule.calls or {_ALL})

    def covers(self, wanted: Rule) -> bool:
        """Whether all that `wanted` records is recorded."""
        if self._has(wanted.conditions, wanted.calls):
            return True
        if any(condition.startswith("arch=") for condition in wanted.conditions):
            return False
        by_arch = [wanted.conditions | {f"arch={arch}"} for arch in architectures()]
        return all(self._has(conditions, wanted.calls) for conditions in by_arch)

    def _has(self, conditions: frozenset[str], calls: frozenset[str]) -> bool:
        known = self._calls.get(conditions, set())
        return _ALL in known or (bool(calls) and calls <= known)


def architectures() -> tuple[str, ...]:
    """The kinds of system calls that this machine takes."""
    return ("b64", "b32") if platform.machine() == "x86_64" else ("b64",)


def spelt_out(text: str, key: str) -> list[str]:
    """The lines for auditctl of a rule as controls give it: `-w …`, `-F …`, or `-S …`.

    Rules on calls become one for each architecture, without the calls that it lacks.
    """
    if text.startswith("-w "):
        return [f"{text} -k {key}"]
    if not text.startswith("-S "):
        return [f"-a always,exit {text} -k {key}"]
    _option, calls, *rest = text.split(" ", 2)
    lines = []
    for arch in architectures():
        there = [name for name in calls.split(",") if not _lacks(arch, name)]
        if there:
            tail = " ".join([*(f"-S {name}" for name in there), *rest])
            lines.append(f"-a always,exit -F arch={arch} {tail} -k {key}")
    return lines


def persisted(host: Host) -> dict[str, list[str]]:
    """Path -> lines of what augenrules puts together at boot, in its order; read once a run."""
    return host.once("audit rules on disk", lambda: _read(host))


def locked(host: Host) -> bool:
    """Whether the kernel takes no other rules until the next boot. Raises HostError."""
    return "enabled 2" in status(host)


def status(host: Host) -> str:
    """What `auditctl -s` says; asked once a run."""
    return host.once("auditctl -s", lambda: host.output(["auditctl", "-s"]))


def load(host: Host) -> None:
    """Bring what is on disk into force, once for all who ask, where the kernel takes rules."""
    if "own_kernel" in host.capabilities() and not locked(host):
        host.once("augenrules --load", lambda: host.output(["augenrules", "--load"]))


def _read(host: Host) -> dict[str, list[str]]:
    paths = [f"{RULES_FOLDER}/{name}" for name in host.names(RULES_FOLDER)]
    rules = [path for path in paths if path.endswith(".rules")]
    return {path: (host.text(path) or "").splitlines() for path in rules}


def _lacks(arch: str, call: str) -> bool:
    if platform.machine() == "aarch64":
        return call in _NOT_ON_ARM
    return arch == "b64" and call == "stime"


def _field(value: str) -> str:
    if value.startswith("dir="):
        return f"path={value[4:].rstrip('/') or '/'}"
    if value.startswith("perm="):
        return _permissions(value[5:])
    return _UNSET.sub(r"\1\2unset", value)


def _comparison(value: str) -> str:
    """Either field may stand first."""
    sign = "!=" if "!=" in value else "="
    return f"compare {sign.join(sorted(value.split(sign)))}"


def _permissions(letters: str) -> str:
    return f"perm={''.join(sorted(letters))}"
