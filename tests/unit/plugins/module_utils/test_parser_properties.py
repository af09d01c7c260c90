# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsers against their originals, or against a second writing of the same rules.

Whatever stands in sshd's Match blocks, in fstab or in php.ini: what weakens a host is found, and
what cannot be understood is no pass.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _php
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mechanism_cases import FixtureHost, outcome

_QUICK = settings(
    deadline=None, max_examples=120, suppress_health_check=list(HealthCheck), derandomize=True
)

# -- sshd: Match blocks, over files that include each other ---------------------------

_ROOT_LOGIN = Control(
    id="it",
    mechanism="sshd_option",
    params={"option": "PermitRootLogin"},
    value="no",
    choices=("no", "prohibit-password"),
    stricter="first",
)
_SSHD_T = [{"argv": ["/usr/sbin/sshd", "-T"], "out": "permitrootlogin no\n"}]
_BLANK = st.sampled_from([" ", "  ", "\t", " = ", "="])
_NAME = st.sampled_from(["PermitRootLogin", "permitrootlogin", "PERMITROOTLOGIN"])
_WEAK = st.sampled_from(["yes", '"yes"', "yes # why", "forced-commands-only"])
_STRICT = st.sampled_from(["no", '"no"', "no # why"])
_OTHER = st.sampled_from(["X11Forwarding no", "# PermitRootLogin yes", "", "   ", "Banner none"])
_MATCH = st.sampled_from(["Match User eve", "match\tGroup admins", "Match=Address 10.0.0.0/8"])


def _option(value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda name, blank, text: f"{name}{blank}{text}", _NAME, _BLANK, value)


_LINE = st.one_of(
    st.builds(lambda text: (text, "weak"), _option(_WEAK)),
    st.builds(lambda text: (text, ""), _option(_STRICT)),
    st.builds(lambda text: (text, ""), _OTHER),
    st.builds(lambda text: (text, "match"), _MATCH),
    st.just(("Match all", "all")),
    st.just(("Include /etc/ssh/more", "include")),
)


def _of_one_file(line: tuple[str, str]) -> bool:
    return line[1] != "include"


@_QUICK
@given(st.lists(_LINE, max_size=6), st.lists(_LINE.filter(_of_one_file), max_size=4))
@example([("Match User eve", "match"), ("Include /etc/ssh/more", "include")],
         [("Match all", "all"), ("PermitRootLogin yes", "weak")])  # fmt: skip
def test_a_match_block_that_weakens_is_always_found(
    main: list[tuple[str, str]], more: list[tuple[str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        host = FixtureHost(Path(folder), {"commands": _SSHD_T})
        for path, lines in (("sshd_config", main), ("more", more)):
            file = Path(folder, "etc/ssh", path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{text}\n" for text, _kind in lines), encoding="utf-8")
        found = outcome(host, _ROOT_LOGIN)
    # What stands outside every block is what `sshd -T` was asked for, and it says no.
    assert found.status == ("fail" if _weakened(main, more, False)[0] else "pass")


def _weakened(
    lines: list[tuple[str, str]], more: list[tuple[str, str]], within: bool
) -> tuple[bool, bool]:
    """Whether a weak line holds for some connections only; `within`: a block is open already."""
    found, block = False, within
    for _text, kind in lines:
        if kind == "match":
            block = True
        elif kind == "all":
            block = within  # everybody whom the block around the file lets in
        elif kind == "include":
            found |= _weakened(more, [], block)[0]
        elif kind == "weak":
            found |= block
    return found, block


# -- fstab: what systemd makes of it is what the next boot does -----------------------

_GENERATOR = next(
    (
        path
        for folder in ("/usr/lib", "/lib")
        if (path := f"{folder}/systemd/system-generators/systemd-fstab-generator")
        and os.access(path, os.X_OK)
    ),
    None,
)
_RESTRICTED = ["nodev", "nosuid", "noexec"]
_SRV = Control(id="it", mechanism="mount_option", params={"path": "/srv/a b"}, value=_RESTRICTED)
_MOUNTINFO = (
    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "40 21 8:9 / /srv/a\\040b rw,nosuid,nodev,noexec - ext4 /dev/sdb1 rw\n"
)
_OPTIONS = st.lists(
    st.sampled_from([*_RESTRICTED, "rw", "defaults", "exec", "suid", "dev", "noatime", "relatime"]),
    min_size=1,
    max_size=5,
).map(",".join)
_WHERE = st.sampled_from(["/srv/a\\040b", "/srv/a\\040b/", "/srv", "/srv/a"])
_GAP = st.sampled_from([" ", "\t", "   "])
_ENTRY = st.builds(
    lambda gap, where, options, tail: gap.join(["/dev/sdb1", where, "ext4", options, *tail]),
    _GAP,
    _WHERE,
    _OPTIONS,
    st.sampled_from([[], ["0"], ["0", "2"]]),
)
_FSTAB_LINE = st.one_of(_ENTRY, _ENTRY.map("# {}".format), st.sampled_from(["", "none swap", "x"]))


@pytest.mark.skipif(_GENERATOR is None, reason="needs systemd's generator for fstab")
@settings(_QUICK, max_examples=60)
@given(st.lists(_FSTAB_LINE, max_size=5))
@example(["/dev/sdb1 /srv/a\\040b ext4 exec", "/dev/sdb1 /srv/a\\040b ext4 nodev,nosuid,noexec"])
def test_fstab_is_read_as_systemd_reads_it(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, text in (
            ("etc/fstab", "\n".join([*lines, ""])),
            ("proc/self/mountinfo", _MOUNTINFO),
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        found = outcome(FixtureHost(root, {}), _SRV)
        at_boot = _as_systemd_mounts(root)
    assert found.status == ("pass" if set(_RESTRICTED) <= at_boot else "fail")


def _as_systemd_mounts(root: Path) -> set[str]:
    """The restrictions that the unit of /srv/a b has; none where fstab makes no such unit."""
    units = root / "units"
    units.mkdir()
    subprocess.run(
        [str(_GENERATOR), *[str(units)] * 3],
        env={"SYSTEMD_FSTAB": str(root / "etc/fstab"), "SYSTEMD_LOG_LEVEL": "crit"},
        check=False,
        capture_output=True,
    )
    unit = units / "srv-a\\x20b.mount"
    if not unit.exists():
        return set()
    lines = unit.read_text(encoding="utf-8").splitlines()
    options = next((line[8:] for line in lines if line.startswith("Options=")), "")
    held: set[str] = set()
    for option in options.split(","):
        held -= {f"no{option}"}
        if option == "defaults":
            held.clear()
        held |= {option} & set(_RESTRICTED)
    return held


# -- php.ini --------------------------------------------------------------------------

_KEY = st.from_regex(r"[a-z_]{1,12}(\.[a-z_]{1,8})?", fullmatch=True)
_PLAIN = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters="\n\r\0\"';", categories=("L", "N")),
    max_size=10,
)
_QUOTED = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters='\r\0"\\', categories=("L", "N", "P")),
    max_size=10,
)
_SETTING = st.one_of(
    st.tuples(_KEY, _PLAIN).map(lambda kv: (f"{kv[0]} = {kv[1]}", kv)),
    st.tuples(_KEY, _PLAIN).map(lambda kv: (f"{kv[0]}={kv[1]} ; not this", kv)),
    st.tuples(_KEY, _QUOTED).map(lambda kv: (f'{kv[0]} = "{kv[1]}" ; nor this', kv)),
)
_INI_LINE = st.one_of(
    _SETTING,
    st.sampled_from(["", "; a = b", "# a = b", "lonely"]).map(lambda text: (text, None)),
)


@_QUICK
@given(st.lists(st.tuples(st.sampled_from(["", "PHP", "PATH=/srv/a", "HOST=b"]), _INI_LINE)))
def test_php_ini_is_read_back_as_written(rows: list[tuple[str, tuple[str, object]]]) -> None:
    text, section, expected = [], "", []
    for wanted, (line, pair) in rows:
        if wanted != section and wanted:
            section = wanted
            text.append(f"[{section}]")
        text.append(line)
        if pair is not None:
            expected.append((section, *pair))  # type: ignore[misc]
    found = _php.parse_ini("\n".join(text))
    assert [(one.section, one.key, one.value) for one in found] == expected


@_QUICK
@given(st.text(alphabet="ab=;#[]\"'\n \\${}PATH/é\0", max_size=80))
def test_any_php_ini_is_read_without_a_crash_and_by_its_lines(text: str) -> None:
    lines = text.split("\n")
    for found in _php.parse_ini(text):
        assert found.key in lines[found.number - 1]
        assert not lines[found.number - 1].lstrip().startswith((";", "#"))


def test_what_stands_behind_a_section_of_php_ini_is_read() -> None:
    found = _php.parse_ini("[PHP] a = 1\n[PHP][PATH=/srv] b = 2\n[HOST=x]\nc = 3")
    assert [(one.section, one.key, one.value) for one in found] == [
        ("PHP", "a", "1"),
        ("PATH=/srv", "b", "2"),
        ("HOST=x", "c", "3"),
    ]
