# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The firewall as the kernel holds it, whoever loaded it: one `nft -j list ruleset` for all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# check: deny (what is not let in is dropped), loopback, established, boot.
PARAMS = {"check": "str"}
VALUE = ("str",)

_NFT = "/usr/sbin/nft"
_FAMILIES = ("ip", "ip6")
_NAMES = {"ip": "IPv4", "ip6": "IPv6"}
# Units that load rules at boot, and the file that each loads.
_AT_BOOT = {
    "nftables.service": "/etc/nftables.conf",
    "ringfence-firewall.service": "/etc/ringfence/firewall.nft",
}
_INCLUDE = re.compile(r'^\s*include\s+"([^"]+)"', re.MULTILINE)
_INPUT = re.compile(r"hook\s+input\b[^}]*?policy\s+drop\b", re.DOTALL)
# A table that names no family is one of IPv4.
_HEADER = re.compile(r"\b(?:table|add\s+chain)\s+(?:(inet|ip6|ip|arp|bridge|netdev)\s+)?[^\s{]+")
_DEPTH = 5


def observe(host: Host, control: Control) -> Observation:
    if not host.exists(_NFT):
        return Observation({"wrong": "nftables is not installed"}, "nftables is not installed")
    wrong = _CHECKS[control.params["check"]](host)
    return Observation({"wrong": wrong}, wrong or "as it should be")


def judge(control: Control, observation: Observation) -> Verdict:
    wrong = observation.state["wrong"]
    if not wrong or control.value == control.choices[-1]:
        return Verdict(PASS)
    return Verdict(FAIL, wrong)


def plan(_control: Control, _observation: Observation, _stage: Stage) -> None:
    """Nothing: rules are loaded by playbooks/firewall.yml, which knows whom to let in."""


class _Ruleset:
    """The listing, by chain: (family, table, chain) -> its declaration and its rules."""

    def __init__(self, listing: list[dict[str, Any]]) -> None:
        self.chains: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.rules: dict[tuple[str, str, str], list[list[dict[str, Any]]]] = {}
        dormant = {
            (row["table"]["family"], row["table"]["name"])
            for row in listing
            if "table" in row and "dormant" in row["table"].get("flags", [])
        }
        for row in listing:
            chain, rule = row.get("chain"), row.get("rule")
            if chain and (chain["family"], chain["table"]) not in dormant:
                self.chains[chain["family"], chain["table"], chain["name"]] = chain
            if rule:
                key = (rule["family"], rule["table"], rule["chain"])
                self.rules.setdefault(key, []).append(rule["expr"])

    def bases(self, hook: str, family: str) -> Iterator[tuple[str, str, str]]:
        """The base chains of type filter that see packets of `family` at `hook`."""
        for key, chain in self.chains.items():
            sees = key[0] in (family, "inet")
            if sees and chain.get("hook") == hook and chain.get("type") == "filter":
                yield key

    def reached(self, base: tuple[str, str, str]) -> Iterator[list[dict[str, Any]]]:
        """The rules of a chain and of all that it jumps to."""
        todo, seen = [base], set[tuple[str, str, str]]()
        while todo:
            key = todo.pop()
            if key in seen:
                continue
            seen.add(key)
            for rule in self.rules.get(key, []):
                yield rule
                todo += [(key[0], key[1], name) for name in _targets(rule)]


def _targets(found: Any) -> Iterator[str]:
    """The chains that a rule sends packets to, through a map too."""
    if isinstance(found, list):
        for item in found:
            yield from _targets(item)
    elif isinstance(found, dict):
        for key, value in found.items():
            if key in ("jump", "goto") and isinstance(value, dict) and "target" in value:
                yield value["target"]
            else:
                yield from _targets(value)


def _ruleset(host: Host) -> _Ruleset:
    return host.once("nft ruleset", lambda: parse(host.output([_NFT, "-j", "list", "ruleset"])))


def parse(text: str) -> _Ruleset:
    """The listing of `nft -j`. Raises HostError for anything else."""
    try:
        listing = json.loads(text)["nftables"]
        if not any("metainfo" in row for row in listing):
            raise HostError("nft lists no ruleset")
        return _Ruleset(listing)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HostError("nft lists what cannot be understood") from error


def _deny(host: Host) -> str:
    rules = _ruleset(host)
    for family in _FAMILIES:
        if not any(_drops(rules, base) for base in rules.bases("input", family)):
            return f"nothing drops what comes in over {family} and nobody let in"
    return ""


def _drops(rules: _Ruleset, base: tuple[str, str, str]) -> bool:
    """By its policy, or by a last rule without any condition; and no rule before takes all."""
    if _takes_all(rules, base, set()):
        return False
    if rules.chains[base].get("policy") == "drop":
        return True
    plain = _without_notes(rules.rules.get(base, [[]])[-1])
    return len(plain) == 1 and bool(set(plain[0]) & {"drop", "reject"})


def _without_notes(rule: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part for part in rule if not set(part) & {"counter", "log", "comment"}]


def _takes_all(rules: _Ruleset, key: tuple[str, str, str], seen: set[tuple[str, str, str]]) -> bool:
    """Whether a rule without any condition accepts, here or in a chain that all are sent to."""
    seen.add(key)
    for rule in rules.rules.get(key, []):
        plain = _without_notes(rule)
        if len(plain) != 1:
            continue
        if "accept" in plain[0]:
            return True
        for name in _targets(plain):
            below = (key[0], key[1], name)
            if below not in seen and _takes_all(rules, below, seen):
                return True
        if set(plain[0]) & {"drop", "reject"}:
            return False
    return False


def _loopback(host: Host) -> str:
    if _each_family(_ruleset(host), _is_loopback):
        return ""
    return "no rule of the input lets in what the host sends itself"


def _established(host: Host) -> str:
    if _each_family(_ruleset(host), _is_established):
        return ""
    return "no rule of the input lets in the answers to what the host began"


def _each_family(rules: _Ruleset, fits: Any) -> bool:
    return all(
        any(fits(rule) for base in rules.bases("input", family) for rule in rules.reached(base))
        for family in _FAMILIES
    )


def _is_loopback(rule: list[dict[str, Any]]) -> bool:
    return _accepts(rule) and any(
        _left(part) in ({"meta": {"key": "iif"}}, {"meta": {"key": "iifname"}})
        and part["match"].get("right") == "lo"
        and part["match"].get("op") == "=="
        for part in rule
    )


def _is_established(rule: list[dict[str, Any]]) -> bool:
    for part in rule:
        left, text = _left(part), json.dumps(part)
        if left == {"ct": {"key": "state"}} and "established" in text and _accepts(rule):
            return part["match"].get("op") in ("==", "in")
        vmap = part.get("vmap", {})
        if vmap.get("key") == {"ct": {"key": "state"}}:
            return '["established", {"accept": null}]' in text
    return False


def _left(part: dict[str, Any]) -> Any:
    match = part.get("match")
    return match.get("left") if isinstance(match, dict) else None


def _accepts(rule: list[dict[str, Any]]) -> bool:
    return any("accept" in part for part in rule)


def _boot(host: Host) -> str:
    argv = ["systemctl", "show", "--property", "UnitFileState", "--", *_AT_BOOT]
    states = host.output(argv).strip("\n").split("\n\n")
    if len(states) != len(_AT_BOOT) or not all("UnitFileState=" in s for s in states):
        raise HostError("systemctl show does not say what loads rules at boot")
    enabled = [
        path
        for path, state in zip(_AT_BOOT.values(), states, strict=True)
        if state.strip() == "UnitFileState=enabled"
    ]
    if not enabled:
        return "no unit loads the rules at boot"
    texts = [_with_includes(host, path, _DEPTH) for path in enabled]
    families = {family for text in texts for family in _shut(text)}
    if not families:
        return f"{' and '.join(enabled)} would load no input that drops by default"
    open_ones = [_NAMES[family] for family in _FAMILIES if not {family, "inet"} & families]
    if open_ones:
        return f"{' and '.join(enabled)} would load no input that drops {open_ones[0]} by default"
    return ""


def _shut(text: str) -> Iterator[str]:
    """The families of tables whose input drops by default."""
    for found in _INPUT.finditer(text):
        headers = list(_HEADER.finditer(text, 0, found.start()))
        if headers:
            yield headers[-1][1] or "ip"


def _with_includes(host: Host, path: str, depth: int) -> str:
    text = re.sub(r"#[^\n]*", "", host.text(path) or "")
    if depth:
        for pattern in _INCLUDE.findall(text):
            full = pattern if pattern.startswith("/") else f"/etc/{pattern}"
            text += "\n" + "\n".join(
                _with_includes(host, name, depth - 1) for name in host.glob(full)
            )
    return text


_CHECKS: dict[str, Any] = {
    "deny": _deny,
    "loopback": _loopback,
    "established": _established,
    "boot": _boot,
}
