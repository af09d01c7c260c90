# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ringfence restore` refuses, and how `ringfence backups` ends."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.cli import _backups
from ringfence.cli._backups import Wish
from ringfence.cli._options import Target
from ringfence.cli._playbook import Outcome
from ringfence.errors import BadInputError
from ringfence.results import Results


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish("acme/shop/x", into="/srv/x"), "expected CLIENT/SITE or CLIENT"),
        (Wish("acme/", into="/srv/x"), "expected CLIENT/SITE or CLIENT"),
        (Wish("/shop", into="/srv/x"), "expected CLIENT/SITE or CLIENT"),
        (Wish("acme", over_live=True), "one site at a time"),
        (Wish("acme/shop"), "expected one of --into FOLDER and --over-live"),
        (Wish("acme/shop", into="/srv/x", over_live=True), "expected one of"),
        (Wish("acme/shop", to="web2", over_live=True), "expected no --to"),
    ],
)
def test_an_unclear_wish_is_refused(wish: Wish, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        _backups._variables(wish)


def test_a_wish_becomes_variables() -> None:
    wish = Wish("acme/shop", at="2026-11-26T12:00", to="web2", into="/srv/x")
    assert _backups._variables(wish) == {
        "restore_site": "acme/shop",
        "restore_at": "2026-11-26T12:00",
        "restore_to": "web2",
        "restore_into": "/srv/x",
    }
    live = _backups._variables(Wish("acme/shop", over_live=True))
    assert live["restore_over_live"] == "acme/shop"


def test_where_nobody_can_be_asked_nothing_is_restored() -> None:
    with pytest.raises(BadInputError, match="give --yes"):
        _backups._agreed(Wish("acme/shop", over_live=True))


_GOOD: dict[str, Any] = {"name": "backup:acme/shop", "state": "ok", "controls": []}


@pytest.mark.parametrize(
    ("row", "host_state", "code"),
    [
        (_GOOD, "ok", 0),
        ({**_GOOD, "controls": [{"id": "a", "status": "pass", "observed": "x"}]}, "ok", 0),
        ({**_GOOD, "controls": [{"id": "a", "status": "fail"}]}, "ok", 1),
        ({**_GOOD, "controls": [{"id": "a", "status": "error"}]}, "ok", 2),
        ({**_GOOD, "state": "error", "message": "x"}, "ok", 2),
        (_GOOD, "unreachable", 2),
        (None, "ok", 2),
    ],
)
def test_what_could_not_be_asked_outweighs_what_was_found(
    row: dict[str, Any] | None, host_state: str, code: int
) -> None:
    results = Results(["web1"])
    results.hosts["web1"].state = host_state
    outcome = Outcome(results, 1.0, None, None, "", 0)
    assert _backups._code([row] if row else [], outcome) == code


@pytest.mark.parametrize("target", [Target(limit="web1"), Target(hosts=["web1"])])
def test_pruning_is_by_client_and_not_by_host(target: Target) -> None:
    with pytest.raises(BadInputError, match="pruning is by client"):
        _backups.prune(target, False, False, False)


def _drill(site: str, seconds: float, point: float, *wrong: str) -> dict[str, Any]:
    return {
        "site": site,
        "recovery_time": seconds,
        "recovery_point": point,
        "wrong": list(wrong),
    }


def test_recovery_is_told_of_whole_clients_whose_sites_are_all_proven() -> None:
    names = ("acme/shop", "acme/blog", "zoo/a", "zoo/b", "ada/a", "ada/b", "_server/web1")
    rows: list[dict[str, Any]] = [{"name": f"backup:{name}", "state": "ok"} for name in names]
    rows[3]["state"] = "error"  # could not be restored at all: there is no drill of it
    drills = [
        _drill("acme/shop", 4.25, 7200.0),
        _drill("acme/blog", 1.5, 3600.0),
        _drill("zoo/a", 1.0, 1.0),
        _drill("ada/a", 1.0, 1.0),
        _drill("ada/b", 1.0, 1.0, "missing: /x"),
        _drill("_server/web1", 2.0, 60.0),
    ]
    assert _backups.recovery(rows, drills) == {
        "_server/web1": {"sites": 1, "recovery_time": 2.0, "recovery_point": 60.0},
        "acme": {"sites": 2, "recovery_time": 5.75, "recovery_point": 7200.0},
    }
    assert _backups._recovery_told("acme", _backups.recovery(rows, drills)["acme"]) == (
        "acme: 2 sites back in 5.8 s, one after the other, with the changes of the last 2.0 h lost"
    )
