# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of blocks as people keep it. That it takes effect is shown on hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from tests.unit.ringfence.cli.conftest import Call

WHY = ("--why", "scans for copies", "--later", "-i", "inv", "--json")


def said(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_a_block_is_recorded_shown_ended_and_kept(place: Path, call: Call) -> None:
    fleet = said(call("block", "198.51.100.9", "--fleet", "--for", "2d", *WHY))
    assert fleet["hosts"] == ["web1", "web2", "web3"]
    client = said(call("block", "2001:db8:bad::/64", "--client", "beta", *WHY))
    assert client["hosts"] == ["web2"]
    said(call("block", "198.51.100.9", "--site", "acme/s0", *WHY))
    rows = said(call("blocked", "-i", "inv", "--json"))["blocked"]
    assert isinstance(rows, list)
    assert [row["network"] for row in rows] == [
        "198.51.100.9", "2001:db8:bad::/64", "198.51.100.9",
    ]  # fmt: skip
    ended = said(call("unblock", "198.51.100.9", "--fleet", "--later", "-i", "inv", "--json"))
    assert ended["hosts"] == ["web1", "web2", "web3"]
    shown = call("blocked", "-i", "inv").stdout
    assert "site acme/s0" in shown
    assert "the fleet" not in shown
    kept = yaml.safe_load((place / "inv" / "blocked.yml").read_text())["blocked"]
    assert len(kept) == 3
    assert kept[0]["ended"] >= kept[0]["since"]
    assert {row["reason"] for row in kept} == {"scans for copies"}
    assert call("validate", "-i", "inv").exit_code == 0


def test_a_block_that_is_there_is_replaced(place: Path, call: Call) -> None:
    for lasting in ("2d", "4w"):
        said(call("block", "198.51.100.9", "--fleet", "--for", lasting, *WHY))
    rows = said(call("blocked", "-i", "inv", "--json"))["blocked"]
    assert isinstance(rows, list)
    assert len(rows) == 1
    assert (place / "inv" / "blocked.yml").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["198.51.100.9"], "expected one of --site, --client and --fleet"),
        (["198.51.100.9", "--fleet", "--client", "beta"], "expected one of --site, --client"),
        (["198.51.100.9", "--client", "bta"], "there is no client bta (did you mean beta?)"),
        (["198.51.100.9", "--site", "acme/s9"], "there is no site acme/s9"),
        (["198.51.100.9/24", "--fleet"], "write 198.51.100.0/24 for all of it"),
        (["::ffff:198.51.100.9", "--fleet"], "write 198.51.100.9/32"),
        (["0.0.0.0/0", "--fleet"], "expected less than everybody"),
        (["198.51.100.9", "--fleet", "--for", "2y"], "found 2y, expected a duration"),
    ],
)
def test_what_cannot_be_blocked_is_told(
    place: Path, call: Call, options: list[str], line: str
) -> None:
    result = call("block", *options, "--why", "x", "--later", "-i", "inv")
    assert result.exit_code == 3
    assert line in " ".join(result.output.split()) + " ".join(result.stderr.split())
    assert not (place / "inv" / "blocked.yml").exists()


def test_a_block_needs_a_reason(place: Path, call: Call) -> None:
    result = call("block", "198.51.100.9", "--fleet", "--later", "-i", "inv")
    assert result.exit_code == 3
    assert "--why: expected a reason" in result.output + result.stderr
    assert place.is_dir()


def test_what_is_not_blocked_cannot_be_unblocked(place: Path, call: Call) -> None:
    result = call("unblock", "198.51.100.9", "--later", "-i", "inv")
    assert result.exit_code == 3
    assert place.is_dir()
