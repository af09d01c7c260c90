# SPDX-License-Identifier: GPL-3.0-or-later
"""The security tracker's data, cut down to a release."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils._tracker import (
    TrackerError,
    of_release,
    read,
)

DAY = datetime(2026, 11, 1, 2, 0, tzinfo=UTC)


def _entry(status: str, mended: str | None = None, urgency: str = "medium") -> dict[str, Any]:
    found = {"status": status, "urgency": urgency, "repositories": {"bookworm": "1"}}
    return {"releases": {"bookworm": found | ({"fixed_version": mended} if mended else {})}}


def test_only_what_concerns_the_release_is_kept() -> None:
    document = {
        "openssl": {
            "CVE-1": _entry("resolved", "3.0.15-1"),
            "CVE-2": _entry("open"),
            "CVE-3": _entry("resolved", "0"),
            "CVE-4": _entry("undetermined"),
            "CVE-5": _entry("open", urgency="unimportant"),
            "CVE-6": {"releases": {"trixie": {"status": "open"}}},
        },
        "zlib": {"CVE-7": _entry("resolved", "0")},
    }

    found = json.loads(of_release(document, "bookworm", DAY, "abc"))

    assert found["packages"] == {
        "openssl": [["CVE-1", "3.0.15-1", "medium"], ["CVE-2", "", "medium"]]
    }
    assert (found["release"], found["date"]) == ("bookworm", "2026-11-01T02:00:00Z")


@pytest.mark.parametrize(
    ("data", "sha256", "said"),
    [
        (b"{}", "", "no packages"),
        (b"<html>", "", "no JSON"),
        (b"[1]", "", "no packages"),
        (b'{"a": {}}', "00", "expected 00"),
    ],
)
def test_what_is_not_the_trackers_is_refused(data: bytes, sha256: str, said: str) -> None:
    with pytest.raises(TrackerError, match=said):
        read(data, sha256)


def test_the_right_sum_is_taken() -> None:
    data = b'{"a": {}}'

    assert read(data, hashlib.sha256(data).hexdigest().upper()) == {"a": {}}


@pytest.mark.parametrize("document", [{"a": []}, {"a": {"CVE-1": "x"}}, {"a": {}}])
def test_an_odd_document_ends_in_words(document: Any) -> None:
    with pytest.raises(TrackerError):
        of_release(document, "bookworm", DAY, "")
