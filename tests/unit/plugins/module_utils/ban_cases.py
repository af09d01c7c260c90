# SPDX-License-Identifier: GPL-3.0-or-later
"""A ban as others tell of it."""

from __future__ import annotations

from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent import share, store

NOW = 1_800_000_000
LIMITS = share.Limits(an_hour=3, seconds=600)


def ban(subject: str = "192.0.2.1", **more: Any) -> store.Ban:
    """One that began now and lasts a minute, but for `more`."""
    given: dict[str, Any] = {
        "id": 0, "kind": store.ADDRESS, "subject": subject, "site": "acme/shop", "jail": "j",
        "reason": "bad sign-ins", "source": "web1", "failures": 4, "since": NOW, "until": NOW + 60,
    }  # fmt: skip
    return store.Ban(**{**given, **more})
