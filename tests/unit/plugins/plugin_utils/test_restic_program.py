# SPDX-License-Identifier: GPL-3.0-or-later
"""restic's package is taken from wherever it can be had, and never without its pinned checksum."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import restic_program
from ansible_collections.ringfence.hosting.plugins.plugin_utils.restic_program import ProgramError

_PACKAGE = b"what Debian built"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a mirror serves; before it a mirror is asked that has nothing."""
    served = tmp_path / "served"
    served.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(served))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(restic_program, "_MIRRORS", (f"{url}/gone", url))
        monkeypatch.setattr(restic_program, "SHA256", hashlib.sha256(_PACKAGE).hexdigest())
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield served
        server.shutdown()


def test_it_is_fetched_once_and_kept(mirror: Path) -> None:
    (mirror / restic_program._FILE).write_bytes(_PACKAGE)
    assert restic_program.package().read_bytes() == _PACKAGE
    (mirror / restic_program._FILE).unlink()
    assert restic_program.package().read_bytes() == _PACKAGE


def test_another_than_the_pinned_one_is_not_used(mirror: Path) -> None:
    (mirror / restic_program._FILE).write_bytes(b"what somebody else built")
    with pytest.raises(ProgramError, match="its checksum is not the pinned one: not used"):
        restic_program.package()
    assert list(restic_program.cache().iterdir()) == []


def test_a_kept_one_that_was_changed_is_fetched_anew(mirror: Path) -> None:
    (mirror / restic_program._FILE).write_bytes(_PACKAGE)
    restic_program.package().write_bytes(b"changed since")
    assert restic_program.package().read_bytes() == _PACKAGE


def test_where_there_is_none_it_is_said_where_from(mirror: Path) -> None:
    assert mirror.is_dir()
    with pytest.raises(ProgramError, match=r"restic cannot be fetched: http://127.*/gone/restic_"):
        restic_program.package()
