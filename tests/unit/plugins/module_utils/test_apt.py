# SPDX-License-Identifier: GPL-3.0-or-later
"""apt's files: what is read is what was written, and junk ends in words."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _apt
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._mechanisms import package_updates
from hypothesis import given, settings
from hypothesis import strategies as st

_WORD = st.from_regex(r"[a-z][a-z0-9.+-]{0,12}", fullmatch=True)
_URI = _WORD.map(lambda name: f"https://{name}.example/debian")
_SWITCH = st.sampled_from(["yes", "no", "true", "false", "1", "0"])
_VERSION = st.from_regex(r"([0-9]:)?[0-9][0-9a-z.+~]{0,6}(-[0-9a-z.+~]{1,4})?", fullmatch=True)


def _tried(
    parse: Callable[[str, str], list[_apt.Source]], text: str
) -> tuple[list[_apt.Source], str]:
    """The sources, or what is wrong."""
    try:
        return parse(text, "junk"), ""
    except HostError as error:
        return [], str(error)


@given(_URI, _WORD, st.lists(_WORD, min_size=1, max_size=3), _SWITCH)
def test_both_styles_say_the_same(uri: str, suite: str, parts: list[str], trusted: str) -> None:
    components = " ".join(parts)
    line = f"deb [ arch=amd64 trusted={trusted} ] {uri} {suite} {components} # why\n"
    stanza = (
        f"Types: deb\nURIs: {uri}\nSuites: {suite}\nTrusted: {trusted}\nComponents: {components}"
    )

    (one,) = _apt.parse_list(line, "a.list")
    (other,) = _apt.parse_sources(stanza, "a.sources")

    assert (one.uris, one.suites, one.components) == (other.uris, other.suites, other.components)
    assert one.is_set("trusted") == other.is_set("trusted") == (trusted in ("yes", "true", "1"))


@given(st.text(alphabet=st.sampled_from("deb [=]:#\n\t ./-Types:URIsSuites yes"), max_size=120))
@settings(max_examples=300)
def test_junk_ends_in_words(text: str) -> None:
    for parse in (_apt.parse_list, _apt.parse_sources):
        found, said = _tried(parse, text)
        assert said.startswith("junk:") or all(s.uris and s.suites for s in found)


@given(st.text(alphabet=st.characters(blacklist_characters="#\n"), max_size=60))
def test_no_line_is_passed_over(text: str) -> None:
    """What is neither empty nor a comment is a source or an error."""
    if not text.strip():
        return
    found, said = _tried(_apt.parse_list, text)

    assert len(found) == 1 or said


@given(_VERSION, _VERSION)
def test_order_is_antisymmetric(one: str, other: str) -> None:
    first, second = _apt.compare(one, other), _apt.compare(other, one)

    assert (first > 0) == (second < 0)
    assert (first == 0) == (second == 0)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="asks dpkg")
@given(_VERSION, _VERSION)
@settings(max_examples=60, deadline=None)
def test_order_is_dpkgs(one: str, other: str) -> None:
    said = subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False)

    assert (_apt.compare(one, other) < 0) == (said.returncode == 0)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0~rc1-1", "1.0-1"),
        ("5.2-1", "5.2-1+deb12u1"),
        ("9:1", "10:0"),
        ("1.9", "1.10"),
        ("1.0", "1.0a"),
        ("1.0-1", "1.0-1.1"),
        ("6.1.0-9-amd64", "6.1.0-30-amd64"),
    ],
)
def test_order(older: str, newer: str) -> None:
    assert _apt.compare(older, newer) < 0 < _apt.compare(newer, older)


def test_names_of_all_lists() -> None:
    lists = [
        b"Package: a\nVersion: 1\n\nPackage: b\n",
        b"",
        b"Origin: x\nPackage: c",
        b"Package: d\n",
    ]

    assert _apt.names_in(lists) == {"a", "b", "c", "d"}


def test_old_lists_say_nothing_of_today(tmp_path: Path) -> None:
    lists = tmp_path / "var/lib/apt/lists"
    (lists / "partial").mkdir(parents=True)
    (lists / "s_InRelease").write_text("Label: Debian-Security\n")
    (lists / "s_main_binary-amd64_Packages").write_text("Package: a\nVersion: 1\n")
    old = time.time() - 10 * 86400
    os.utime(lists / "partial", (old, old))
    control = Control("it", "package_updates", {"check": "lists"}, value=3)

    observed = package_updates.observe(Host(str(tmp_path)), control)

    verdict = package_updates.judge(control, observed)
    assert (verdict.status, verdict.message) == ("fail", "the lists of packages are 10 days old")
