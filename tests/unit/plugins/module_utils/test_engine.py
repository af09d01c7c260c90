# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine over a tree that stands for a host; real hosts are in tests/hosts."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _engine
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

_DROP_IN = "etc/sysctl.d/zz-ringfence.conf"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A host whose pointers are readable by all, now and after a boot."""
    for name, text in {
        "proc/sys/kernel/kptr_restrict": "0\n",
        "proc/sys/kernel/dmesg_restrict": "1\n",
        "etc/sysctl.d/10-old.conf": "kernel.kptr_restrict = 0\nkernel.dmesg_restrict = 1\n",
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "var/lib").mkdir(parents=True)
    return tmp_path


def _sysctl(key: str, **fields: Any) -> Control:
    defaults = {"value": 1, "stricter": "higher", "maximum": 2}
    return Control(
        id=key.replace(".", "_"), mechanism="sysctl", params={"keys": [key]}, **(defaults | fields)
    )


_NO_GUARD = {"guard_timeout": 0, "guard_id": None, "operator": None}
_POINTERS = _sysctl("kernel.kptr_restrict")
_MESSAGES = _sysctl("kernel.dmesg_restrict")


def _status(result: dict[str, Any], control: Control) -> str:
    if control.id in result["ok_ids"]:
        return "pass"
    return next(row["status"] for row in result["controls"] if row["id"] == control.id)


def _files(tree: Path) -> dict[str, bytes]:
    return {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file()}


def test_audit_judges_and_changes_nothing(tree: Path) -> None:
    before = _files(tree)
    result = _engine.audit(Host(str(tree)), [_POINTERS, _MESSAGES])
    assert (_status(result, _POINTERS), _status(result, _MESSAGES)) == ("fail", "pass")
    assert result["controls"][0]["message"] == "kernel.kptr_restrict is 0 now"
    assert _files(tree) == before


def test_apply_changes_and_a_second_apply_does_not(tree: Path) -> None:
    first = _engine.apply(Host(str(tree)), [_POINTERS, _MESSAGES])
    assert first["changed"] is True
    assert _status(first, _POINTERS) == "changed"
    assert (tree / "proc/sys/kernel/kptr_restrict").read_text() == "1\n"
    assert (tree / _DROP_IN).read_text().splitlines()[1:] == ["kernel.kptr_restrict = 1"]
    second = _engine.apply(Host(str(tree)), [_POINTERS, _MESSAGES])
    assert (second["changed"], second["diff"], second["controls"]) == (False, [], [])


def test_what_another_control_brought_about_is_changed_too(tree: Path) -> None:
    left_to_a_person = replace(_POINTERS, id="same", automatic=False)
    first = _engine.apply(Host(str(tree)), [_POINTERS, left_to_a_person])
    assert _status(first, left_to_a_person) == "changed"
    second = _engine.apply(Host(str(tree)), [_POINTERS, left_to_a_person])
    assert _status(second, left_to_a_person) == "pass"


def test_check_mode_shows_the_change_and_writes_nothing(tree: Path) -> None:
    before = _files(tree)
    result = _engine.apply(Host(str(tree)), [_POINTERS], check=True)
    assert result["changed"] is True
    assert result["diff"][0]["after_header"] == "/" + _DROP_IN
    assert "kernel.kptr_restrict = 1" in result["diff"][0]["after"]
    assert _files(tree) == before


def test_two_controls_share_a_drop_in(tree: Path) -> None:
    (tree / "proc/sys/kernel/dmesg_restrict").write_text("0\n")
    (tree / "etc/sysctl.d/10-old.conf").unlink()
    _engine.apply(Host(str(tree)), [_POINTERS, _MESSAGES])
    assert (tree / _DROP_IN).read_text().splitlines()[1:] == [
        "kernel.dmesg_restrict = 1",
        "kernel.kptr_restrict = 1",
    ]


@pytest.mark.parametrize(
    ("expired", "status"), [pytest.param(False, "waived"), pytest.param(True, "fail")]
)
def test_a_waiver_holds_until_it_ends(tree: Path, expired: bool, status: str) -> None:
    granted = {"reason": "profiling", "owner": "ops", "expires": "2026-01-01", "expired": expired}
    control = _sysctl("kernel.kptr_restrict", waiver=granted)
    assert _status(_engine.audit(Host(str(tree)), [control]), control) == status


def test_a_waived_control_is_not_applied(tree: Path) -> None:
    granted = {"reason": "r", "owner": "o", "expires": "2027-01-01", "expired": False}
    result = _engine.apply(Host(str(tree)), [_sysctl("kernel.kptr_restrict", waiver=granted)])
    assert result["changed"] is False
    assert not (tree / _DROP_IN).exists()


def test_a_control_that_is_not_automatic_stays_a_finding(tree: Path) -> None:
    control = _sysctl("kernel.kptr_restrict", automatic=False)
    result = _engine.apply(Host(str(tree)), [control])
    assert _status(result, control) == "fail"
    assert result["changed"] is False


@pytest.mark.parametrize("run", [_engine.audit, _engine.apply])
def test_what_is_not_demanded_is_judged_never_changed_and_never_counted(
    tree: Path, run: Any
) -> None:
    before = _files(tree)
    control = _sysctl("kernel.kptr_restrict", demanded=False)
    result = run(Host(str(tree)), [control])
    assert (_status(result, control), result["not_demanded"]) == ("fail", [control.id])
    assert set(result["counts"].values()) == {0}
    assert _files(tree) == before


@pytest.mark.parametrize(("demanded", "failed"), [(True, True), (False, None)])
def test_only_what_is_demanded_makes_a_task_fail(
    tree: Path, demanded: bool, failed: bool | None
) -> None:
    options = _options([_sysctl("kernel.kptr_restrict", demanded=demanded)]) | {"fail_on": ["fail"]}
    result = _engine.run(Host(str(tree)), options, apply=False, check=False)
    assert result.get("failed") is failed


def test_what_the_host_lacks_is_not_applicable(tree: Path) -> None:
    control = _sysctl("kernel.kptr_restrict", requires=("sshd",))
    result = _engine.audit(Host(str(tree)), [control])
    assert _status(result, control) == "not_applicable"
    assert result["controls"][0]["message"] == "no SSH server is installed"


def test_what_the_host_lacks_costs_it_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    load = _engine._registry.load
    monkeypatch.setattr(_engine._registry, "load", lambda name: loaded.append(name) or load(name))
    lacking = replace(_MESSAGES, mechanism="service", requires=("sshd",))
    result = _engine.audit(Host(str(tree)), [_POINTERS, lacking])
    assert _status(result, lacking) == "not_applicable"
    assert set(loaded) == {"sysctl"}


def test_one_control_in_error_leaves_the_others_their_results(tree: Path) -> None:
    broken = Control(id="broken", mechanism="sysctl", params={}, value=1)
    result = _engine.apply(Host(str(tree)), [broken, _POINTERS])
    assert (_status(result, broken), _status(result, _POINTERS)) == ("error", "changed")


def test_a_link_in_the_place_of_our_drop_in_is_not_written_through(tree: Path) -> None:
    elsewhere = tree / "etc/elsewhere.conf"
    elsewhere.write_text("# theirs\n")
    (tree / _DROP_IN).symlink_to(elsewhere)
    result = _engine.apply(Host(str(tree)), [_POINTERS])
    assert _status(result, _POINTERS) == "error"
    assert elsewhere.read_text() == "# theirs\n"


def test_bytes_that_are_not_utf8_travel_spelt_out(tree: Path) -> None:
    (tree / "proc/sys/kernel/kptr_restrict").write_bytes(b"\xff\n")
    result = _engine.audit(Host(str(tree)), [_POINTERS])
    assert "\\udcff" in result["controls"][0]["observed"]
    assert json.dumps(result).isascii()


def test_a_reload_left_by_a_killed_run_is_made_good(tree: Path) -> None:
    pending = tree / "var/lib/ringfence/pending-reloads.json"
    pending.parent.mkdir()
    pending.write_text('["no_such_reload"]')
    outcome = _engine.run(Host(str(tree)), _options([_MESSAGES]), apply=True, check=False)
    assert outcome["failed"] is True
    assert "no_such_reload" in outcome["msg"]
    assert pending.exists()


@pytest.mark.parametrize(
    ("apply", "seconds", "refused"),
    [(True, 120, True), (True, 0, False), (False, 0, False)],
    ids=["apply", "apply within somebody's own guard", "audit"],
)
def test_a_change_that_waits_for_its_confirmation_is_said(
    tree: Path, apply: bool, seconds: int, refused: bool
) -> None:
    armed = {"reason": "sshd", "operator": "ada@ctl", "expires_at": "2026-01-01T00:02:00Z"}
    path = tree / "var/lib/ringfence/guard/armed.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(armed))
    options = _options([_MESSAGES]) | {"guard_timeout": seconds}
    outcome = _engine.run(Host(str(tree)), options, apply=apply, check=False)
    said = "a change (sshd, by ada@ctl) is not confirmed and may be put back until 2026-01-01T00:02"
    assert outcome["warnings"][0].startswith(said)
    assert outcome.get("failed", False) is refused


def _options(controls: list[Control]) -> dict[str, Any]:
    return {"payload": _engine.pack(controls), "fail_on": ["error"], **_NO_GUARD}


@pytest.mark.parametrize("payload", [None, "", "[[1]]", "{}x", '[["a"]]'])
def test_a_payload_that_is_none_is_refused(tree: Path, payload: str | None) -> None:
    options = {"payload": payload, "fail_on": ["error"], **_NO_GUARD}
    outcome = _engine.run(Host(str(tree)), options, apply=False, check=False)
    assert outcome["failed"] is True
    assert "\n" not in outcome["msg"]


@pytest.mark.parametrize("of_the_session", [0o000, 0o077])
def test_the_umask_of_the_session_does_not_reach_what_is_made(
    tree: Path, of_the_session: int
) -> None:
    before = os.umask(of_the_session)
    try:
        host = Host(str(tree))
        host.run(["touch", str(tree / "by_program")])
        _engine.run(host, _options([_MESSAGES]), apply=True, check=False)
        (tree / "by_engine").touch()
    finally:
        os.umask(before)
    made = [(tree / name).stat().st_mode & 0o777 for name in ("by_program", "by_engine")]
    assert made == [0o644, 0o644]


def test_pack_and_unpack_are_inverse() -> None:
    controls = [
        _POINTERS,
        _sysctl("a.b", requires=("sshd",), notify=("reload_sshd",), choices=(1,)),
    ]
    assert _engine.unpack(_engine.pack(controls)) == controls


_MEETS = [
    # value, stricter, choices, minimum, maximum, seen, meets
    (4, "lower", (), 1, None, 3, True),
    (4, "lower", (), 1, None, 0, False),
    (4, "lower", (), None, None, 5, False),
    (1, "higher", (), None, 2, 2, True),
    (1, "higher", (), None, 2, 3, False),
    (1, "higher", (), None, None, "2", False),
    (1, None, (), None, None, 2, False),
    ("no", "first", ("no", "prohibit-password"), None, None, "prohibit-password", False),
    ("prohibit-password", "first", ("no", "prohibit-password"), None, None, "no", True),
    ("no", "first", ("no",), None, None, "yes", False),
    (["a"], "superset", (), None, None, ["a", "b"], True),
    (["a", "b"], "subset", (), None, None, ["a"], True),
    (["a", "b"], "subset", (), None, None, [], False),
    (True, "last", (False, True), None, None, False, False),
]


@pytest.mark.parametrize(
    ("value", "stricter", "choices", "minimum", "maximum", "seen", "meets"), _MEETS
)
def test_meets(
    value: Any,
    stricter: str,
    choices: tuple[Any, ...],
    minimum: int,
    maximum: int,
    seen: Any,
    meets: bool,
) -> None:
    control = Control("x", "sysctl", {}, value, stricter, choices, minimum, maximum)
    assert control.meets(seen) is meets


def test_what_only_a_person_may_change_stays_a_finding(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mechanism = _engine._registry.load("sysctl")
    said = _engine.c.Verdict("fail", "one site says otherwise", by_hand=True)
    monkeypatch.setattr(mechanism, "judge", lambda *_arguments: said)
    checked = _engine.apply(Host(str(tree)), [_POINTERS], check=True)
    assert (_status(checked, _POINTERS), checked["changed"]) == ("fail", True)
    applied = _engine.apply(Host(str(tree)), [_POINTERS])
    assert (_status(applied, _POINTERS), applied["changed"]) == ("fail", True)
