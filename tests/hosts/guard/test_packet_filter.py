# SPDX-License-Identifier: GPL-3.0-or-later
"""The real nft and iptables, in a network namespace: what is put back, what is left alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root"),
]

ROOT = Path(__file__).resolve().parents[3]
_MODULES = "ansible_collections.ringfence.hosting.plugins.module_utils"
# Snapshot, change, put back; then say what was done and what the filter is.
_SCRIPT = f"""
import json, subprocess, sys
from {_MODULES} import _guard_nftables as filter
before, change = sys.argv[1:]
subprocess.run(["sh", "-ec", before], check=True)
snapshot = json.loads(json.dumps(filter.capture()))
assert filter.changed(snapshot) == [], filter.changed(snapshot)
subprocess.run(["sh", "-ec", change], check=True)
done, errors = filter.put_back(snapshot)
left = filter.changed(snapshot)
print(json.dumps({{"done": done, "errors": errors, "left": left}}))
"""
_SITE = """
nft -f - <<END
table inet site {
  set banned {
    type ipv4_addr
    flags timeout
    elements = { 192.0.2.1 timeout 1h }
  }
  set admins {
    type ipv6_addr
    flags interval
    elements = { 2001:db8::/64 }
  }
  counter seen { }
  chain input {
    type filter hook input priority 0; policy drop;
    ip6 saddr @admins counter accept comment "people { of ours }"
    ip saddr @banned counter drop
    tcp dport { 22, 443 } counter name seen accept
  }
}
table inet netavark {
  chain forward {
    type filter hook forward priority 0; policy accept;
  }
}
END
"""
_LOCKED = """
nft -f - <<END
table inet lockout {
  chain input {
    type filter hook input priority -10; policy drop;
  }
}
END
"""


def trial(before: str, change: str, after: str) -> tuple[dict[str, list[str]], str]:
    """(what was done, what `after` printed) in a new network namespace."""
    command = ["unshare", "--net", "sh", "-ec", f'"$@"; {after}', "sh"]
    command += [sys.executable, "-c", _SCRIPT, before, change]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections"), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    first, _newline, rest = done.stdout.partition("\n")
    found: dict[str, list[str]] = json.loads(first)
    assert found["errors"] == []
    assert found["left"] == []
    return found, rest


@pytest.mark.parametrize(
    ("change", "done"),
    [
        pytest.param("true", [], id="nothing"),
        pytest.param(_LOCKED, ["inet lockout"], id="a new table"),
        pytest.param("nft flush ruleset", ["inet netavark", "inet site"], id="all gone"),
        pytest.param("nft flush chain inet site input", ["inet site"], id="a chain emptied"),
        pytest.param("nft delete table inet netavark", ["inet netavark"], id="an engine's, gone"),
        pytest.param(
            "nft flush set inet site admins; nft reset counters >/dev/null",
            ["inet site"],
            id="a list emptied",
        ),
        pytest.param(
            "nft add chain inet site input '{ policy accept; }'", ["inet site"], id="a policy"
        ),
    ],
)
def test_what_was_altered_is_as_before(change: str, done: list[str]) -> None:
    found, ruleset = trial(_SITE, change, "nft -s list ruleset")
    assert found["done"] == done
    _nothing, wanted = trial(_SITE, "true", "nft -s list ruleset")
    assert _without_clocks(ruleset) == _without_clocks(wanted)


def test_bans_and_containers_that_came_meanwhile_stay() -> None:
    change = f"""
    nft add element inet site banned '{{ 192.0.2.2 timeout 1h }}'
    nft add rule inet netavark forward ip daddr 10.88.0.2 accept
    {_LOCKED}
    """
    found, ruleset = trial(_SITE, change, "nft -s list ruleset")
    assert found["done"] == ["inet lockout"]
    assert "192.0.2.2" in ruleset
    assert "10.88.0.2" in ruleset
    assert "lockout" not in ruleset


_IPTABLES = """
iptables -N ufw-in
iptables -A INPUT -m addrtype --dst-type LOCAL -j ufw-in
iptables -A ufw-in -p tcp --dport 22 -m comment --comment "door of ours" -j ACCEPT
iptables -P INPUT DROP
iptables -N DOCKER
iptables -A FORWARD -j DOCKER
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
"""


@pytest.mark.skipif(not shutil.which("iptables-nft"), reason="iptables is not installed")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param("iptables -F ufw-in", id="a chain of a chain"),
        pytest.param("iptables -I INPUT -p tcp --dport 22 -j DROP", id="a rule in front"),
        pytest.param("iptables -P OUTPUT DROP", id="a policy"),
        pytest.param("nft flush ruleset", id="all gone"),
        pytest.param(
            "iptables -F; iptables -X ufw-in; iptables -P INPUT ACCEPT", id="firewall off"
        ),
    ],
)
def test_the_doors_of_iptables_are_as_before(change: str) -> None:
    meanwhile = "iptables -A DOCKER -d 172.17.0.2/32 -j ACCEPT"
    change = change if "flush ruleset" in change else f"{change}; {meanwhile}"
    found, saved = trial(_IPTABLES, change, "iptables-save")
    _nothing, wanted = trial(_IPTABLES, meanwhile, "iptables-save")
    assert "ip filter" in found["done"]
    if "flush ruleset" in change:
        assert "ip nat" in found["done"]
        wanted = wanted.replace("-A DOCKER -d 172.17.0.2/32 -j ACCEPT\n", "")
    forward = "-A FORWARD -j DOCKER\n"
    if "iptables -F;" in change:
        # FORWARD is the engine's own, and not put back.
        wanted = wanted.replace(forward, "")
    assert _rules(saved) == _rules(wanted)


def _rules(saved: str) -> list[str]:
    """Without the counters and the time."""
    lines = [line.split(" [")[0] for line in saved.splitlines() if not line.startswith("#")]
    return sorted(lines)


def _without_clocks(ruleset: str) -> list[str]:
    """The tables in any order, for a table put back comes last."""
    words = ruleset.split()
    kept = [
        word
        for place, word in enumerate(words)
        if word != "expires" and words[place - 1] != "expires"
    ]
    return sorted(kept)
