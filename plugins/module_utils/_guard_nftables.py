# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshot of the live packet filter, and putting back the part of it that a change altered.

`flush ruleset` and load would be simpler, and wrong: it drops what a container engine or a ban
daemon added meanwhile. So each table is compared with its snapshot, and only those that differ are
replaced, all in one nft transaction. Tables that iptables-nft manages cannot be loaded by nft when
they use its extensions; iptables-restore puts those back.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any, TypedDict

_TIMEOUT = 60
# Their owner adds and removes rules at any time, and none of them filters what enters the host.
_ENGINE_TABLES = re.compile(
    r"^(netavark|docker-bridges|kube-proxy|libvirt_network|incus|lxc|cni_.*|cali.*)$"
)
_OWN_TABLES = re.compile(r"^ringfence")
_IPTABLES = {"ip": "iptables", "ip6": "ip6tables"}
_IPTABLES_TABLES = ("filter", "mangle", "nat", "raw", "security")
# Chains that decide whether the operator's packets come in and their answers go out. FORWARD,
# PREROUTING and the whole of nat are where container engines work.
_DOORS = ("INPUT", "OUTPUT")
# What packets and clocks change by themselves.
_VOLATILE = frozenset({"handle", "packets", "bytes", "used", "expires", "last"})


class FilterError(Exception):
    """The packet filter cannot be read or put back; the message is one line."""


class Snapshot(TypedDict):
    """`tables`: nft's text by "family name"; `shapes`: the same, comparable (JSON text);
    `iptables`: the output of iptables-save by family."""

    tables: dict[str, str]
    shapes: dict[str, str]
    iptables: dict[str, str]


def capture() -> Snapshot:
    """Snapshot the live ruleset; empty where nft is not installed. Raises FilterError."""
    snapshot = _live()
    problem = _run(["nft", "-c", "-f", "-"], _replacing(snapshot, snapshot["tables"], ()))
    if problem:
        raise FilterError(f"the live nftables ruleset cannot be put back as it is: {problem}")
    return snapshot


def changed(snapshot: Snapshot) -> list[str]:
    """Names of the tables ("inet ringfence") that differ from the snapshot now."""
    now = _live()
    altered, new = _difference(snapshot, now)
    return sorted({*altered, *new, *_iptables_difference(snapshot, now)})


def put_back(snapshot: Snapshot) -> tuple[list[str], list[str]]:
    """Put back the tables that differ. Returns (tables put back or removed, errors)."""
    try:
        now = _live()
    except FilterError as error:
        return [], [str(error)]
    altered, new = _difference(snapshot, now)
    problem = _run(["nft", "-f", "-"], _replacing(snapshot, altered, new))
    done, errors = ([], [problem]) if problem else ([*altered, *new], [])
    if problem:
        done, errors = _put_back_one_by_one(snapshot, altered, new)
    for name, script in _iptables_difference(snapshot, now).items():
        program = _IPTABLES[name.split()[0]]
        problem = _run([f"{program}-restore", "--noflush", "-w", "10"], script)
        if problem:
            errors.append(f"{name}: {problem}")
        else:
            done.append(name)
    return sorted(done), errors


def _put_back_one_by_one(
    snapshot: Snapshot, altered: list[str], new: list[str]
) -> tuple[list[str], list[str]]:
    """One table that cannot be loaded must not keep the others from opening the door."""
    done, errors = [], []
    for name in [*new, *altered]:
        is_new = name in new
        script = _replacing(snapshot, () if is_new else (name,), (name,) if is_new else ())
        problem = _run(["nft", "-f", "-"], script)
        if problem:
            errors.append(f"{name}: {problem}")
        else:
            done.append(name)
    return done, errors


def _live() -> Snapshot:
    snapshot = Snapshot(tables={}, shapes={}, iptables={})
    text = _output(["nft", "list", "ruleset"])
    if text:
        snapshot["tables"] = split_tables(text)
        snapshot["shapes"] = shapes(json.loads(_output(["nft", "-j", "list", "ruleset"]) or "{}"))
    for family, program in _IPTABLES.items():
        if any(_is_iptables(name) for name in snapshot["tables"] if name.startswith(f"{family} ")):
            saved = _output([f"{program}-save"])
            if saved:
                snapshot["iptables"][family] = saved
    return snapshot


def split_tables(text: str) -> dict[str, str]:
    """The text of `nft list ruleset` by table, each "table family name { … }"."""
    tables: dict[str, str] = {}
    for match in re.finditer(r"^table (\S+) (\S+) \{.*?^\}$", text, re.MULTILINE | re.DOTALL):
        tables[f"{match[1]} {match[2]}"] = match[0] + "\n"
    return tables


def shapes(ruleset: dict[str, Any]) -> dict[str, str]:
    """What of each table a person or a program wrote, as JSON text, from `nft -j list ruleset`.

    Counters, handles and remaining times are left out. So are the elements of sets that fill
    themselves (flags dynamic or timeout), save in Ringfence's own tables, where a run fills them.
    Tables owned by a running process are left out too: the kernel lets nobody else alter them.
    """
    found: dict[str, list[str]] = {}
    for item in ruleset.get("nftables", []):
        kind, body = next(iter(item.items()))
        if kind == "metainfo":
            continue
        name = f"{body['family']} {body['name'] if kind == 'table' else body['table']}"
        if kind == "table" and "owner" in _flags(body):
            continue
        if kind == "table" or name in found:
            found.setdefault(name, []).append(_shape(kind, body))
    return {name: json.dumps(parts) for name, parts in found.items()}


def _shape(kind: str, body: dict[str, Any]) -> str:
    body = dict(body)
    if kind in ("set", "map") and "elem" in body:
        fills_itself = {"dynamic", "timeout"} & set(_flags(body))
        if fills_itself and not _OWN_TABLES.match(body["table"]):
            del body["elem"]
        else:
            body["elem"] = sorted(json.dumps(_stable(e), sort_keys=True) for e in body["elem"])
    return json.dumps([kind, _stable(body)], sort_keys=True)


def _flags(body: dict[str, Any]) -> list[str]:
    flags = body.get("flags", [])
    return [flags] if isinstance(flags, str) else list(flags)


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _stable(v) for k, v in value.items() if k not in _VOLATILE}
    if isinstance(value, list):
        return [_stable(item) for item in value]
    return value


def _difference(snapshot: Snapshot, now: Snapshot) -> tuple[list[str], list[str]]:
    """Tables to put back (altered or gone) and tables to remove (new), iptables' left out."""
    before, after = snapshot["shapes"], now["shapes"]
    altered = [
        name
        for name, shape in before.items()
        if not _is_left_to_iptables(name, snapshot)
        and (name not in after or (after[name] != shape and not _is_engine(name)))
    ]
    new = [
        name
        for name in after
        if name not in before and not _is_engine(name) and not _is_left_to_iptables(name, now)
    ]
    return altered, new


def _replacing(snapshot: Snapshot, altered: Any, new: Any) -> str:
    """One nft transaction. Adding an empty table first lets the delete work where it is gone."""
    script = []
    for name in altered:
        if name in snapshot["shapes"] and not _is_left_to_iptables(name, snapshot):
            script += [f"table {name}", f"delete table {name}", snapshot["tables"][name]]
    script += [f"delete table {name}" for name in new]
    return "\n".join(script) + "\n" if script else ""


def _is_engine(name: str) -> bool:
    return bool(_ENGINE_TABLES.match(name.split()[1]))


def _is_iptables(name: str) -> bool:
    family, table = name.split()
    return family in _IPTABLES and table in _IPTABLES_TABLES


def _is_left_to_iptables(name: str, ruleset: Snapshot) -> bool:
    """Without iptables-save there is no iptables that could have made the table."""
    return _is_iptables(name) and name.split()[0] in ruleset["iptables"]


def _iptables_difference(snapshot: Snapshot, now: Snapshot) -> dict[str, str]:
    """What iptables-restore must be fed, by table ("ip filter"), for those whose doors differ."""
    scripts: dict[str, str] = {}
    for family in {*snapshot["iptables"], *now["iptables"]}:
        before = parse_iptables(snapshot["iptables"].get(family, ""))
        after = parse_iptables(now["iptables"].get(family, ""))
        for table in {*before, *after}:
            script = iptables_script(table, before.get(table), after.get(table))
            if script:
                scripts[f"{family} {table}"] = script
    return scripts


Chains = dict[str, list[str]]


def parse_iptables(saved: str) -> dict[str, Chains]:
    """`iptables-save` by table and chain; the first line of a chain declares its policy."""
    tables: dict[str, Chains] = {}
    chains: Chains = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            chains = tables.setdefault(line[1:], {})
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            chains[name] = [f":{name} {policy} [0:0]"]
        elif line.startswith("-A "):
            chains[line.split()[1]].append(line)
    return tables


def iptables_script(table: str, before: Chains | None, after: Chains | None) -> str:
    """Input of `iptables-restore --noflush` that puts a table's doors back; empty if none differ.

    A table that was not there gets empty, accepting doors; one that is gone comes back whole.
    """
    after = after or {}
    if before is None:
        before = {door: [f":{door} ACCEPT [0:0]"] for door in _DOORS if door in after}
    wanted = before if not after else {} if table == "nat" else _doors(before)
    if wanted == {name: after.get(name) for name in wanted}:
        return ""
    lines = [f"*{table}"]
    lines += [rules[0] for rules in wanted.values()]
    # --noflush empties the user's own chains that are declared, not the built-in ones.
    lines += [f"-F {name}" for name in wanted]
    lines += [rule for rules in wanted.values() for rule in rules[1:]]
    return "\n".join([*lines, "COMMIT"]) + "\n"


def _doors(chains: Chains) -> Chains:
    """The built-in chains a packet of the operator passes, and every chain they jump to."""
    found: Chains = {}
    queue = [door for door in _DOORS if door in chains]
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found[name] = chains[name]
        targets = (re.search(r" -[jg] (\S+)", rule) for rule in chains[name])
        queue += [match[1] for match in targets if match and match[1] in chains]
    return found


def _output(argv: list[str]) -> str:
    """Standard output; empty where the program is not installed. Raises FilterError."""
    try:
        result = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except FileNotFoundError:
        return ""
    except subprocess.TimeoutExpired as error:
        raise FilterError(f"{' '.join(argv)} did not answer within {_TIMEOUT} s") from error
    if result.returncode:
        raise FilterError(f"{' '.join(argv)} failed: {_first_line(result.stderr)}")
    return result.stdout


def _run(argv: list[str], script: str) -> str:
    """Feed a program; the first line of what it complains about, or nothing."""
    if not script:
        return ""
    try:
        result = subprocess.run(
            argv, input=script, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _first_line(str(error))
    return _first_line(result.stderr) if result.returncode else ""


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
