# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a host holds: mechanisms never crash, and never pass on what they could not read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Completed, HostError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mechanism_cases import (
    FixtureHost,
    cases,
    make_control,
    make_host,
    outcome,
    read_case,
)

PASSING = [folder for folder in cases() if folder.suffix == ".pass"]
SLOW_DISK = settings(
    deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), derandomize=True
)
_JUNK = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [b"\\", b"[", b'"', b"::::::", b"= =", b"Include *", b"Match", b"a:b:c:d:e:f:g"]
    ),
    st.sampled_from(
        [b"auth", b"auth required", b"* * * *", b"UMASK", b"-net.*", b"tmpfs /dev/shm", b"\r\0"]
    ),
)


def _name(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


def _has(folder: Path, part: str) -> bool:
    return part in read_case(folder)


class _Unreadable(FixtureHost):
    """A host on which one file exists and cannot be read."""

    def __init__(self, root: Path, case: dict[str, Any], closed: str) -> None:
        super().__init__(root, case)
        self.closed = closed
        self.asked = False

    def read(self, path: str) -> bytes | None:
        if path == self.closed:
            self.asked = True
            raise HostError(f"{path} cannot be read: Permission denied")
        return super().read(path)


class _Silent(FixtureHost):
    """A host on which every command fails."""

    def run(self, _argv: list[str], **_options: Any) -> Completed:  # type: ignore[override]
        return Completed(1, "", "it does not work\n")


@pytest.mark.parametrize("folder", PASSING, ids=_name)
def test_an_unreadable_file_is_never_a_pass(folder: Path, tmp_path: Path) -> None:
    case = read_case(folder)
    make_host(folder, case, tmp_path)
    control = make_control(folder.parent.name, case)
    for path in [f"/{p.relative_to(tmp_path)}" for p in tmp_path.rglob("*") if p.is_file()]:
        host = _Unreadable(tmp_path, case, path)
        found = outcome(host, control)
        assert found.status == ("error" if host.asked else "pass"), path


@pytest.mark.parametrize("folder", [f for f in PASSING if _has(f, "commands")], ids=_name)
def test_a_failing_command_is_never_a_pass(folder: Path, tmp_path: Path) -> None:
    case = read_case(folder)
    make_host(folder, case, tmp_path)
    found = outcome(_Silent(tmp_path, case), make_control(folder.parent.name, case))
    assert (found.status, "it does not work" in found.message) == ("error", True)


@pytest.mark.parametrize("folder", [f for f in PASSING if _has(f, "files")], ids=_name)
def test_junk_in_a_file_never_crashes(folder: Path, tmp_path: Path) -> None:
    case = read_case(folder)
    make_host(folder, case, tmp_path)
    control = make_control(folder.parent.name, case)
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    @SLOW_DISK
    @given(st.sampled_from(sorted(files)), st.lists(_JUNK, min_size=1, max_size=4), st.booleans())
    def junk(path: Path, lines: list[bytes], replace: bool) -> None:
        path.write_bytes(b"\n".join(lines if replace else [files[path], *lines]))
        found = outcome(FixtureHost(tmp_path, case), control)
        path.write_bytes(files[path])
        assert found.status in ("pass", "fail", "not_applicable", "error")

    junk()


@SLOW_DISK
@given(st.lists(_JUNK, max_size=5))
def test_junk_from_a_command_never_crashes_and_never_passes(lines: list[bytes]) -> None:
    said = b"\n".join(lines).decode("utf-8", "surrogateescape")

    class _Babbling(FixtureHost):
        def run(self, _argv: list[str], **_options: Any) -> Completed:  # type: ignore[override]
            return Completed(0, said, "")

    for mechanism, fields in {
        "service": {"params": {"unit": "cron.service"}, "value": "enabled"},
        "sshd_option": {"params": {"option": "PermitRootLogin"}, "value": "no"},
        "package": {"params": {"names": ["a-package-of-that-name"]}, "value": "present"},
        "kernel_module": {"params": {"modules": ["a_module"]}, "value": "blocked"},
    }.items():
        control = Control(id="it", mechanism=mechanism, **fields)
        found = outcome(_Babbling(Path("/nonexistent"), {}), control)
        assert found.status in ("fail", "error"), mechanism


def test_a_module_built_into_the_kernel_cannot_be_blocked(tmp_path: Path) -> None:
    built_in = f"/lib/modules/{os.uname().release}/modules.builtin"
    case = {
        "control": {"params": {"modules": ["usb-storage"]}, "value": "blocked"},
        "files": {
            "/proc/modules": "",
            built_in: "kernel/fs/ext4/ext4.ko\nkernel/drivers/usb/storage/usb-storage.ko\n",
        },
        "commands": [
            {"argv": ["modprobe", "--showconfig"], "out": "install usb_storage /bin/false\n"}
        ],
    }
    host = make_host(tmp_path / "none", case, tmp_path)
    found = outcome(host, make_control("kernel_module", case))
    assert (found.status, found.files) == ("fail", {})
    assert found.message == "usb_storage is built into this kernel and cannot be blocked"
