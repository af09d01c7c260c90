# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version of an object is the right one, and how it becomes the newest."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils.backup_recover import Version, plan

_GOOD, _BAD = b"sound", b"junk"
_NAME = hashlib.sha256(_GOOD).hexdigest()
_DATA = f"acme/data/{_NAME[:2]}/{_NAME}"
_INDEX = f"acme/index/{_NAME}"


def _stack(*newest_first: str) -> list[Version]:
    """Versions by what they hold: good, bad or marker."""
    return [
        Version(f"{what}-{order}", what == "marker", order)
        for order, what in enumerate(newest_first)
    ]


def _digest(_name: str, version: str) -> str:
    return hashlib.sha256(_GOOD if version.startswith("good") else _BAD).hexdigest()


@pytest.mark.parametrize(
    ("name", "stack", "unmark", "copy", "hide", "lost"),
    [
        (_DATA, ("good",), 0, None, 0, 0),
        (_DATA, ("marker", "good"), 1, None, 0, 0),
        (_DATA, ("marker", "marker", "good"), 2, None, 0, 0),
        (_DATA, ("bad", "good"), 0, "good-1", 0, 0),
        (_DATA, ("marker", "bad", "good"), 0, "good-2", 0, 0),
        (_DATA, ("bad", "marker", "good", "bad"), 0, "good-2", 0, 0),
        (_DATA, ("good", "bad", "good"), 0, None, 0, 0),
        ("acme/config", ("good", "bad", "good"), 0, None, 0, 0),
        (_DATA, ("marker", "bad", "bad"), 0, None, 0, 1),
        (_DATA, ("marker",), 0, None, 0, 1),
        (_INDEX, ("bad",), 0, None, 1, 0),
        (_INDEX, ("good",), 0, None, 0, 0),
        ("acme/config", ("bad", "good"), 0, "good-1", 0, 0),
        ("acme/config", ("marker", "good"), 1, None, 0, 0),
        ("acme/README.txt", ("bad",), 0, None, 1, 0),
        (f"acme/locks/{_NAME}", ("marker", "good"), 0, None, 0, 0),
    ],
)
def test_the_right_version_is_told_by_its_name(
    name: str, stack: tuple[str, ...], unmark: int, copy: str | None, hide: int, lost: int
) -> None:
    made = plan({name: _stack(*stack)}, _digest)
    assert len(made.unmark.get(name, [])) == unmark
    assert made.copy.get(name) == copy
    assert (len(made.hide), len(made.lost)) == (hide, lost)


def test_data_with_one_version_is_not_fetched() -> None:
    def never(name: str, version: str) -> str:
        raise AssertionError(f"{name} {version} was read")

    assert plan({_DATA: _stack("good")}, never).sound == 1
