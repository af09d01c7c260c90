# SPDX-License-Identifier: GPL-3.0-or-later
"""What is never done to a repository, whatever restic says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_host import (
    BackupError,
    Repository,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backup_care

_REPOSITORY = Repository("s3:x/y", "/password", "/key")


class _Restic:
    """Notes each call; answers by the first word."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, _repository: Repository, *arguments: str, **_options: Any) -> str:
        self.calls.append(arguments)
        return self.answers.get(arguments[0], "")


def test_a_site_that_keeps_nothing_is_not_pruned() -> None:
    restic = _Restic()
    with pytest.raises(BackupError, match="nothing was pruned"):
        backup_care.prune(restic, _REPOSITORY, {"shop": {"daily": 0}}, check=False)
    assert restic.calls == []


def test_a_trial_prunes_nothing() -> None:
    restic = _Restic(forget=json.dumps([{"remove": [{}, {}]}]))
    gone = backup_care.prune(restic, _REPOSITORY, {"shop": {"daily": 7}}, check=True)
    assert gone == {"shop": 2}
    assert [call[0] for call in restic.calls] == ["forget"]
    assert "--dry-run" in restic.calls[0]
    assert "--tag=site=shop" in restic.calls[0]


def test_data_goes_also_where_a_run_was_stopped_before_it_did() -> None:
    restic = _Restic(forget=json.dumps([{"remove": None}]))
    assert backup_care.prune(restic, _REPOSITORY, {"shop": {"daily": 7}}, check=False) == {
        "shop": 0
    }
    assert [call[0] for call in restic.calls] == ["unlock", "forget", "prune"]


def test_the_password_in_use_is_never_removed() -> None:
    keys = [{"id": "a", "current": False}, {"id": "b", "current": True}]
    restic = _Restic(key=json.dumps(keys))
    assert backup_care.drop_others(restic, _REPOSITORY, check=False) == 1
    assert ("key", "remove", "a") in restic.calls
    assert ("key", "remove", "b") not in restic.calls
    unclear = _Restic(key=json.dumps([{"id": "a", "current": False}]))
    with pytest.raises(BackupError, match="none was removed"):
        backup_care.drop_others(unclear, _REPOSITORY, check=False)


_NEW = {"exists": True, "checksum": hashlib.sha256(b"new\n").hexdigest()}
_OLD = {"exists": True, "checksum": hashlib.sha256(b"old\n").hexdigest()}


@pytest.mark.parametrize("held", [{"web1": _NEW}, {"web1": _NEW, "web2": {"exists": False}}])
def test_passwords_may_go_where_all_hosts_have_the_new_one(held: dict[str, Any]) -> None:
    backup_care.require_held("new", held)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (_OLD, "web2 has another password than backup.password: run"),
        ({}, "web2 does not say which password it has: run"),
        ({"exists": True}, "web2 does not say which password it has: run"),
    ],
)
def test_no_password_goes_where_a_host_would_be_shut_out(seen: dict[str, Any], said: str) -> None:
    with pytest.raises(BackupError) as caught:
        backup_care.require_held("new", {"web1": _NEW, "web2": seen})
    assert str(caught.value).startswith(f"no password was removed: {said}")


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("recipients", [[], ["age1x"], ["age1x", "age1x"]])
def test_escrow_to_one_person_is_none(recipients: list[str], check: bool, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="two recipients"):
        backup_care.escrow("p", recipients, tmp_path / "x.age", check=check)
