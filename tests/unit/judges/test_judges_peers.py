# SPDX-License-Identifier: GPL-3.0-or-later
"""Other collections by their defaults: files that say what they are, scripts that a shell takes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.hosts.judges import ledger, peers

PEERS = peers.load()
RESULTS = json.loads((ledger.FOLDER / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PEERS)
def test_a_script_is_one_that_a_shell_takes(name: str) -> None:
    script = PEERS[name].script()
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    for option in PEERS[name].sshd:
        assert f"{option} " in script


@pytest.mark.parametrize("name", PEERS)
def test_each_was_measured_and_says_what_it_leaves_out(name: str) -> None:
    assert PEERS[name].left_out
    assert set(RESULTS["peers"][name]["hosts"]) == {"bookworm", "trixie"}


def test_a_file_with_a_field_that_is_not_known_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd.yml").write_text(
        "{title: a, source: b, left_out: [c], sysctls: {}}\n", encoding="utf-8"
    )
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"odd.yml: expected title"):
        peers.load()


def test_text_with_quotes_reaches_its_file_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "a b" / "it"
    text = 'it\'s "so" $HOME `x` %s\n'
    peer = peers.Peer("x", "x", "x", ("x",), files={str(target): text})
    subprocess.run(["sh"], input=peer.script(), text=True, check=True)
    assert target.read_text(encoding="utf-8") == text
