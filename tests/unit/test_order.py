# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that are put first are there."""

from __future__ import annotations

from pathlib import Path

from tests import conftest


def test_each_long_file_is_there_once() -> None:
    assert len(set(conftest.LONG)) == len(conftest.LONG)
    missing = [
        name for name in conftest.LONG if not (Path(conftest.__file__).parent / name).is_file()
    ]
    assert missing == []
