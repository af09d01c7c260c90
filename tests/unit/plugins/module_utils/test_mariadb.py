# SPDX-License-Identifier: GPL-3.0-or-later
"""What MariaDB answers: read whole or refused, and no secret of it kept."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _mariadb
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Completed,
    Host,
    HostError,
)
from hypothesis import given
from hypothesis import strategies as st

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_KINDS = st.sampled_from(["account", "grant", "variable", "end", "other"])


class _Answering(Host):
    def __init__(self, said: str, rc: int = 0, err: str = "") -> None:
        super().__init__()
        self.said = Completed(rc, said, err)
        self.asked: list[tuple[list[str], str]] = []

    def run(self, argv: list[str], *, stdin: str | None = None, **_rest: object) -> Completed:
        self.asked.append((argv, stdin or ""))
        return self.said


@given(st.lists(st.tuples(_KINDS, _JSON, _JSON, _JSON), max_size=6))
def test_any_answer_is_read_or_refused(rows: list[tuple[object, ...]]) -> None:
    said = "".join(json.dumps(row) + "\n" for row in rows)
    with suppress(HostError):
        assert _mariadb.ask(_Answering(said)).accounts


@pytest.mark.parametrize("said", ["", "{}", "[]", '["end"]', "ERROR 2002", '["account", "a"]'])
def test_an_answer_that_is_not_whole_is_refused(said: str) -> None:
    with pytest.raises(HostError, match="MariaDB's answer"):
        _mariadb.ask(_Answering(said))


def test_no_hash_is_kept_and_none_is_in_an_argument() -> None:
    account = ["account", "site", "h", {"access": 0, "plugin": "ed25519",
                                        "authentication_string": "S3CRET"}]  # fmt: skip
    host = _Answering(json.dumps(account) + '\n["end"]\n')
    found = _mariadb.ask(host)
    assert "S3CRET" not in repr(found)
    _mariadb.tell(host, "SET PASSWORD = 'S3CRET'")
    assert "S3CRET" not in " ".join(word for argv, _stdin in host.asked for word in argv)


def test_a_refusal_is_told_without_the_statement() -> None:
    host = _Answering("", 1, "--------------\nSET x\n--------------\n\nERROR 1193: Unknown x\n")
    with pytest.raises(HostError, match=r"^MariaDB: ERROR 1193: Unknown x$"):
        _mariadb.tell(host, "SET x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--a-b=1\n--a_b=2\n", {"a-b": "2"}),
        ("--skip-symbolic-links\n", {"symbolic-links": "OFF"}),
        ("--skip-networking\n", {"skip-networking": "ON"}),
        ("--loose-x\nnoise\n", {"x": "ON"}),
        ("--skip-name-resolve=1\n", {"skip-name-resolve": "1"}),
    ],
)
def test_options(text: str, expected: dict[str, str]) -> None:
    assert _mariadb.persisted(_Answering(text)) == expected


def test_a_name_is_quoted_or_refused() -> None:
    assert _mariadb.quoted("o'b\\") == "'o''b\\'"
    with pytest.raises(HostError):
        _mariadb.quoted("a\nb")
