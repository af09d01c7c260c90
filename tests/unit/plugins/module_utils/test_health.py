# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as worse than before; looking is tried on real hosts."""

from __future__ import annotations

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils._health import State, problems

WELL: State = {
    "services": {"nginx.service": "running"},
    "configuration": {"/usr/sbin/nginx": "ok"},
    "sites": {"http://a.example/": "301", "https://a.example/": "no answer: refused"},
}


@pytest.mark.parametrize(
    ("part", "now", "said"),
    [
        ("services", {}, ["nginx.service does not run any more"]),
        ("services", {"nginx.service": "running", "x.service": "running"}, []),
        ("configuration", {"/usr/sbin/nginx": "unknown directive"}, ["/usr/sbin/nginx: unknown"]),
        ("configuration", {"/usr/sbin/php-fpm8.2": "no pool"}, ["/usr/sbin/php-fpm8.2: no pool"]),
        ("sites", {"http://a.example/": "502"}, ["http://a.example/ answers 502, before 301"]),
        ("sites", {}, ["http://a.example/ answers nothing, before 301"]),
        ("sites", {"http://a.example/": "301", "https://a.example/": "200"}, []),
    ],
)
def test_worse(part: str, now: dict[str, str], said: list[str]) -> None:
    found = problems(WELL, {**WELL, part: now})

    assert [line[: len(start)] for line, start in zip(found, said, strict=True)] == said


def test_what_was_wrong_before_is_nobodys_fault() -> None:
    broken: State = {**WELL, "configuration": {"/usr/sbin/nginx": "old mistake"}}

    assert problems(broken, {**WELL, "configuration": {"/usr/sbin/nginx": "old mistake"}}) == []
