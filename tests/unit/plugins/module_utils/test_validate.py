# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked before it is written, and what is held against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _validate
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Completed, Host

_AWAY = (
    "/x\n   [E] unreachable on boot required source: UUID=dead-beef\n\n0 parse errors, 1 error\n"
)
_GARBLED = "findmnt: {}: parse error at line 2 -- ignored\n"


class _Findmnt(Host):
    """A host whose findmnt finds fault with missing disks and with lines of one word."""

    def run(self, argv: list[str], **_options: Any) -> Completed:  # type: ignore[override]
        text = Path(argv[-1]).read_text()
        out = _AWAY if "dead-beef" in text else ""
        err = _GARBLED.format(argv[-1]) if "\nword\n" in text else ""
        return Completed(1 if out or err else 0, out, err)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", "tmpfs /tmp tmpfs nodev\n", None),
        ("UUID=dead-beef /x ext4\n", "UUID=dead-beef /x ext4\ntmpfs /tmp tmpfs nodev\n", None),
        ("", "UUID=dead-beef /x ext4\n", "[E] unreachable on boot required source: UUID=dead-beef"),
        ("#\n", "#\nword\n", "findmnt: /etc/fstab: parse error at line 2 -- ignored"),
    ],
)
def test_fstab_is_held_to_what_is_new(
    tmp_path: Path, before: str, after: str, said: str | None
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "fstab").write_text(before)

    found = _validate.complaint(_Findmnt(str(tmp_path)), "fstab", {"/etc/fstab": after.encode()})

    assert found == said


class _Sshd(Host):
    """A host whose `sshd -t` minds the word nonsense, wherever the configuration holds it."""

    seen = ""

    def run(self, argv: list[str], **_options: Any) -> Completed:  # type: ignore[override]
        main = Path(argv[-1])
        parts = [main.read_text(), *(p.read_text() for p in (main.parent / "drop-ins").iterdir())]
        self.seen = "\n".join(parts)
        bad = next(
            (p for p in (main.parent / "drop-ins").iterdir() if "nonsense" in p.read_text()), None
        )
        if bad is not None:
            return Completed(255, "", f"{bad} line 1: Bad configuration option: nonsense\n")
        return Completed(0, "", "")


@pytest.fixture
def sshd(tmp_path: Path) -> _Sshd:
    folder = tmp_path / "etc" / "ssh" / "sshd_config.d"
    folder.mkdir(parents=True)
    (folder.parent / "sshd_config").write_text("Include /etc/ssh/sshd_config.d/*.conf\nPort 22\n")
    (folder / "10-theirs.conf").write_text("X11Forwarding yes\n")
    return _Sshd(str(tmp_path))


def test_sshd_reads_a_copy_that_holds_the_new_files(sshd: _Sshd) -> None:
    new = {"/etc/ssh/sshd_config.d/00-ringfence.conf": b"PermitRootLogin no\n"}

    assert _validate.complaint(sshd, "sshd", new) is None
    assert "X11Forwarding yes" in sshd.seen
    assert "PermitRootLogin no" in sshd.seen
    assert "Include /etc/ssh/sshd_config.d" not in sshd.seen


def test_sshd_complains_of_the_file_by_its_own_name(sshd: _Sshd) -> None:
    new = {"/etc/ssh/sshd_config.d/00-ringfence.conf": b"nonsense\n"}

    found = _validate.complaint(sshd, "sshd", new)

    assert found == (
        "/etc/ssh/sshd_config.d/00-ringfence.conf line 1: Bad configuration option: nonsense"
    )
