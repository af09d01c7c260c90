# SPDX-License-Identifier: GPL-3.0-or-later
"""From variables to controls: selection, waivers. Whole runs are in tests/hosts."""

from __future__ import annotations

import gc
from contextlib import suppress
from datetime import date, datetime
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue, control_action

_KNOWN = catalogue.Catalogue(
    {
        "ssh_root_login": {"id": "ssh_root_login", "family": "ssh"},
        "kernel_pointers": {"id": "kernel_pointers", "family": "kernel"},
        "aws_lock": {"id": "aws_lock", "family": "aws_s3", "target": "bucket"},
    },
    "0" * 64,
)
_WAIVER = {"control": "ssh_root_login", "reason": "r", "owner": "o", "expires": "2026-06-30"}


@pytest.mark.parametrize(
    ("families", "controls", "chosen"),
    [
        ([], [], ["ssh_root_login", "kernel_pointers"]),
        (["kernel"], [], ["kernel_pointers"]),
        (["kernel"], ["ssh_root_login"], ["ssh_root_login", "kernel_pointers"]),
        ([], ["kernel_pointers"], ["kernel_pointers"]),
    ],
)
def test_select(families: list[str], controls: list[str], chosen: list[str]) -> None:
    assert control_action.select(_KNOWN, families, controls) == chosen


@pytest.mark.parametrize(
    ("families", "controls", "said"),
    [
        (["shh"], [], "there is no family shh (did you mean ssh?)"),
        ([], ["ssh_rootlogin"], "there is no control ssh_rootlogin (did you mean ssh_root_login?)"),
        (["aws_s3"], [], "family aws_s3 is asked of a bucket, not of hosts"),
        ([], ["aws_lock"], "control aws_lock is asked of a bucket, not of hosts"),
    ],
)
def test_select_refuses_the_unknown(families: list[str], controls: list[str], said: str) -> None:
    with pytest.raises(AnsibleActionFail) as caught:
        control_action.select(_KNOWN, families, controls)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("x", "ringfence_waivers: found str, expected a list"),
        (["x"], "ringfence_waivers[0]: expected a mapping"),
        ([_WAIVER | {"reason": ""}], "ringfence_waivers[0].reason: is missing"),
        ([_WAIVER | {"control": "x"}], "ringfence_waivers[0].control: there is no control x"),
        ([_WAIVER, _WAIVER | {"expires": "June"}], "ringfence_waivers[1].expires: found June"),
        (
            [_WAIVER | {"expires": datetime(2027, 1, 31, 12)}],
            "ringfence_waivers[0].expires: found 2027-01-31 12:00:00, expected a date",
        ),
    ],
)
def test_a_bad_waiver_is_refused(rows: Any, said: str) -> None:
    found = list(control_action.waiver_problems(_KNOWN, rows))
    assert len(found) == 1
    assert found[0].startswith(said)


@pytest.mark.parametrize(
    ("expires", "expired"),
    [("2026-06-30", False), (date(2026, 6, 30), False), ("2026-06-29", True)],
)
def test_the_last_day_of_a_waiver_still_counts(expires: Any, expired: bool) -> None:
    granted = control_action.waiver(_WAIVER | {"expires": expires}, date(2026, 6, 30))
    assert granted["expired"] is expired
    assert granted["expires"] == str(expires)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("broken", [True, False])
def test_the_search_for_cycles_is_afterwards_as_it_was(before: bool, broken: bool) -> None:
    restore = gc.enable if gc.isenabled() else gc.disable
    try:
        (gc.enable if before else gc.disable)()
        with suppress(AnsibleActionFail), control_action.no_search_for_cycles():
            assert not gc.isenabled()
            if broken:
                raise AnsibleActionFail("the module could not be built")
        assert gc.isenabled() is before
    finally:
        restore()
