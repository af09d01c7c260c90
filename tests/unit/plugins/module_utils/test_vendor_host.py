# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for a host, on a tree that stands for one."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _vendor_access,
    _vendor_guarded,
)
from ansible_collections.ringfence.hosting.plugins.module_utils import _vendor_host as vendors
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host
from ansible_collections.ringfence.hosting.plugins.module_utils._vendor_access import VendorError

TODAY = date(2026, 11, 26)
SAM: dict[str, Any] = {
    "account": "sc_sam", "person": "sam", "name": "Sam Vale", "third_party": "care",
    "keys": [{"public_key":
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ+Jpb1okulewJ6HAbBo7qUZt6M25sTSGUKD0eh0K2L"}],
    "from": ["203.0.113.64/29"], "end": "2026-11-26",
}  # fmt: skip
# An id that no process here has.
UID = 2_000_000_001
OURS = {
    "accounts": {"sc_sam": {"uid": UID, "person": "sam", "third_party": "care",
                            "comment": "Sam Vale (care)"}},
    "revoked": {}, "rows": [],
}  # fmt: skip


def host(tmp_path: Path, *, state: dict[str, Any] | None = None, uid: int | None = None) -> Host:
    (tmp_path / "etc").mkdir()
    line = f"sc_sam:x:{uid}:{uid}:Sam Vale (care):/home/sc_sam:/bin/bash\n" if uid else ""
    (tmp_path / "etc/passwd").write_text(f"root:x:0:0:root:/root:/bin/bash\n{line}")
    (tmp_path / "etc/shadow").write_text(
        "root:*:1::::::\n" + ("sc_sam:*:1:::::20784:\n" * bool(uid))
    )
    (tmp_path / "etc/group").write_text(
        "root:x:0:\n" + "ringfence-vendors:x:99:sc_sam\n" * bool(uid)
    )
    if state is not None:
        path = tmp_path / vendors.STATE.lstrip("/")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(state))
    return Host(str(tmp_path))


def planned(here: Host, rows: list[dict[str, Any]], **more: Any) -> vendors.Plan:
    return vendors.plan(here, rows, TODAY, timer=False, **more)


def test_an_account_is_made_with_its_end(tmp_path: Path) -> None:
    made = planned(host(tmp_path), [SAM])
    assert made.steps[0] == ["groupadd", "--system", "ringfence-vendors"]
    assert made.steps[1][0] == "useradd"
    assert made.steps[1][made.steps[1].index("--expiredate") + 1] == "20784"
    assert set(made.files) == {
        "/etc/ssh/ringfence-vendors/sc_sam",
        "/etc/ssh/sshd_config.d/00-ringfence-vendor-access.conf",
    }


def test_an_account_of_somebody_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VendorError, match="sc_sam: is an account of this host that was not made"):
        planned(host(tmp_path, uid=UID), [SAM])


def test_a_name_that_was_given_anew_is_no_longer_ours(tmp_path: Path) -> None:
    here = host(tmp_path, uid=UID + 1, state=OURS)
    assert planned(here, []).closing == []
    with pytest.raises(VendorError, match="was not made here"):
        planned(here, [SAM])


def test_what_ended_is_locked_expired_and_ended(tmp_path: Path) -> None:
    made = planned(host(tmp_path, uid=UID, state=OURS), [{**SAM, "end": "2026-11-25"}])
    assert made.steps == [
        ["usermod", "--lock", "--expiredate", "1", "--shell", "/usr/sbin/nologin", "sc_sam"]
    ]
    assert made.closing == ["sc_sam"]
    assert made.homes == {"sc_sam": "/home/sc_sam"}


def test_a_play_does_not_end_the_account_that_it_comes_in_by(tmp_path: Path) -> None:
    with pytest.raises(VendorError, match="sc_sam: this play comes in by it"):
        planned(host(tmp_path, uid=UID, state=OURS), [], user="sc_sam")


def test_a_host_without_vendors_is_left_as_it_is(tmp_path: Path) -> None:
    made = vendors.plan(host(tmp_path), [], TODAY)
    assert not made.changed


AGEING = "/etc/tmpfiles.d/ringfence-vendor-access.conf"


def test_records_of_whoever_comes_and_came_age(tmp_path: Path) -> None:
    later = {
        **SAM,
        "account": "sc_kim",
        "person": "kim",
        "start": "2030-01-01",
        "end": "2031-01-01",
    }
    here = host(tmp_path, uid=UID, state=OURS)
    text = planned(here, [later], record_days=7).files[AGEING]
    assert text is not None
    assert text.splitlines()[1:] == [
        f"e /var/log/sudo-io/{name} - - - mM:7d" for name in ("sc_kim", "sc_sam")
    ]
    path = tmp_path / AGEING.lstrip("/")
    path.parent.mkdir()
    path.write_text(text)
    assert AGEING not in planned(here, [later], record_days=7).files
    assert AGEING not in planned(here, [later]).files  # the timer's run leaves it
    assert AGEING in planned(here, [later], record_days=0).files


def test_a_host_without_vendors_gets_no_file_of_ages(tmp_path: Path) -> None:
    assert not vendors.plan(host(tmp_path), [], TODAY, record_days=180).changed


def test_an_age_before_today_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VendorError, match="record_days: expected a number of days"):
        planned(host(tmp_path), [SAM], record_days=-1)


def test_a_record_that_cannot_be_read_stops_all(tmp_path: Path) -> None:
    here = host(tmp_path, state=OURS)
    (tmp_path / vendors.STATE.lstrip("/")).write_text("{")
    with pytest.raises(VendorError, match="is not what was written"):
        planned(here, [])


def test_the_timers_program_runs_alone(tmp_path: Path) -> None:
    path = tmp_path / "program.pyz"
    path.write_bytes(vendors.program())
    code = f"import sys; sys.path.insert(0, {str(path)!r}); " + (
        "from ansible_collections.ringfence.hosting.plugins.module_utils import _vendor_host as v; "
        "print(v.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(path))
    assert vendors.program() == vendors.program()


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="needs systemd")
@pytest.mark.parametrize(("age", "refused"), [("mM:7d", False), ("zz:7d", True), ("7q", True)])
def test_ages_are_tried_with_systemd_tmpfiles_itself(
    tmp_path: Path, age: str, refused: bool
) -> None:
    here = host(tmp_path)
    made = vendors.Plan(_vendor_access.Wanted({}, (), {}), _vendor_access.State())
    made.files[AGEING] = f"# ours\ne /var/log/sudo-io/sc_sam - - - {age}\n"
    said = pytest.raises(VendorError, match="is refused, nothing was changed")
    with said if refused else contextlib.nullcontext():
        _vendor_guarded.require_taken(here, made)
