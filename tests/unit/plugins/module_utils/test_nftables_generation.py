# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's number of the last change of nftables, and what a note on a loaded list is worth."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _address_lists,
    _nftables_generation,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host
from ansible_collections.ringfence.hosting.plugins.module_utils._nftables_generation import Mark

_NOW = Mark("one", 4026531840, 7)


def answer(kind: int = 0xA0F, attribute: int = 1, number: int = 7) -> bytes:
    """What the kernel sends, with the process that made the change."""
    body = struct.pack("=BBH", 0, 0, 0) + struct.pack("=HH", 8, attribute)
    body += struct.pack("!I", number) + struct.pack("=HHI", 8, 2, 42)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def test_the_number_is_read_from_the_answer() -> None:
    assert _nftables_generation.parse_number(answer(number=70_000)) == 70_000


@pytest.mark.parametrize("data", [answer(kind=2), answer(attribute=3), answer()[:18], b""])
def test_another_answer_is_no_number(data: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        _nftables_generation.parse_number(data)


def noted(root: Path, monkeypatch: pytest.MonkeyPatch, *, after: Mark | None) -> Host:
    """A host on which a list was noted as loaded: nftables was at _NOW after it, or elsewhere."""
    host = Host(str(root))
    kept = root / "var/lib/ringfence/firewall/block.nft"
    kept.parent.mkdir(parents=True)
    kept.write_text("add element …\n", encoding="utf-8")
    monkeypatch.setattr(_nftables_generation, "mark", lambda: after)
    _address_lists._note_loaded(host, "block", _NOW._replace(number=6), 9, "ab")
    return host


def test_a_note_holds_while_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = noted(tmp_path, monkeypatch, after=_NOW)
    found = _address_lists._still_loaded(host, "block")
    assert (found["entries"], found["asked"]) == (9, "ab")
    assert _address_lists._still_loaded(host, "allow") == {}


@pytest.mark.parametrize(
    "now", [None, _NOW.next(), _NOW._replace(boot="two"), _NOW._replace(namespace=1)]
)
def test_a_note_is_worth_nothing_once_anything_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: Mark | None
) -> None:
    host = noted(tmp_path, monkeypatch, after=_NOW)
    monkeypatch.setattr(_nftables_generation, "mark", lambda: now)
    assert _address_lists._still_loaded(host, "block") == {}


@pytest.mark.parametrize("after", [None, _NOW.next(), _NOW._replace(boot="two")])
def test_nothing_is_noted_where_somebody_else_changed_something_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: Mark | None
) -> None:
    noted(tmp_path, monkeypatch, after=after)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", ["var/lib/ringfence/firewall/block.nft", "note"])
def test_a_file_that_is_another_is_believed_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    host = noted(tmp_path, monkeypatch, after=_NOW)
    note = tmp_path / _address_lists.LOADED.lstrip("/") / "block.json"
    place = note if path == "note" else tmp_path / path
    place.write_text("{", encoding="utf-8")
    assert _address_lists._still_loaded(host, "block") == {}
    place.unlink()
    assert _address_lists._still_loaded(host, "block") == {}


def test_the_note_is_roots_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted(tmp_path, monkeypatch, after=_NOW)
    note = tmp_path / _address_lists.LOADED.lstrip("/") / "block.json"
    assert note.stat().st_mode & 0o777 == 0o600
    found: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
    assert found["mark"] == list(_NOW)
