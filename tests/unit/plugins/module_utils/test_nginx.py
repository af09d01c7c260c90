# SPDX-License-Identifier: GPL-3.0-or-later
"""The strict reader of nginx's configuration: nothing skipped, nothing guessed, never a crash."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _nginx, _nginx_request, _web
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from hypothesis import given
from hypothesis import strategies as st

_WORDS = st.text(alphabet="ab$_/.~\\\"'{};# \n\té", max_size=60)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http {", "/x:1 cannot be understood: its block is not closed"),
        ("a;\n}", '/x:2 cannot be understood: unexpected "}"'),
        ("a\n\nb", '/x:3 cannot be understood: expected ";"'),
        ('a "b;\n', "/x:1 cannot be understood: a quotation mark is not closed"),
        ('a "b"c;', "/x:1 cannot be understood: text goes on right after a quotation mark"),
        (";", '/x:1 cannot be understood: unexpected ";"'),
        ("content_by_lua_block { a = '}'", "/x:1 cannot be understood: a block of Lua"),
    ],
)
def test_what_nginx_would_refuse_is_told_by_its_line(text: str, said: str) -> None:
    with pytest.raises(HostError) as error:
        _nginx.parse(text, "/x")
    assert str(error.value).startswith(said)


@given(_WORDS)
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(HostError):
        for directive in _nginx.parse(text, "/x"):
            assert text[directive.start : directive.end].endswith((";", "}"))


_PLAIN = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(st.lists(_PLAIN, min_size=1, max_size=4))
def test_what_is_quoted_is_read_back_whole(words: list[str]) -> None:
    quoted = ['"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words]
    (directive,) = _nginx.parse(f"# {len(words)}\nname {' '.join(quoted)};", "/x")
    assert (directive.name, directive.args, directive.line) == ("name", words, 2)


@pytest.mark.parametrize(
    ("uri", "outcome"),
    [
        ("/", "served"),
        ("/index.php", "executed"),
        ("/exact.php", "denied"),
        ("/plain/x.php", "served"),
        ("/nested/x.php", "denied"),
        ("/api/x", "passed on"),
        ("/closed/x", "denied"),
        ("/closed/open/x", "served"),
        ("/blocked.txt", "denied"),
        ("/A/.GIT/x", "denied"),
        ("/.well-known/acme-challenge/x", "served"),
    ],
)
def test_a_request_goes_where_nginx_would_send_it(uri: str, outcome: str) -> None:
    text = r"""
        root /srv;
        if ($request_uri ~ "^/blocked") { return 403; }
        location / { try_files $uri =404; }
        location = /exact.php { return 404; }
        location ^~ /plain/ { }
        location /nested/ { location ~ \.php$ { deny all; } }
        location /api/ { proxy_pass http://127.0.0.1:8080; }
        location /closed/ { allow 192.0.2.1; deny all; }
        location /closed/open/ { allow all; }
        location ~* (?<dot>/\.)(?!well-known/) { deny all; }
        location ~ \.php$ { fastcgi_pass unix:/x; }
    """
    block = _nginx.Directive("server", [], "/x", 1, 0, children=_nginx.parse(text, "/x"))
    server = _nginx.Server(block, (_nginx.Directive("http", [], "/x", 1, 0),))
    assert _nginx_request.answer(server, uri)[0] == outcome


def test_flattened_holds_what_is_new_and_knows_where_each_line_is_from(tmp_path: Path) -> None:
    for name, text in {
        "nginx.conf": "user x;\nhttp {\n  include conf.d/*.conf; include sites-enabled/*;\n}\n",
        "conf.d/a.conf": "a 1;\nb 2;\n",
        "sites-enabled/.hidden": "broken {",
    }.items():
        path = tmp_path / "etc/nginx" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    text, origins = _nginx.flattened(Host(str(tmp_path)), {_nginx.DROP_IN: b"ours 1;\nours 2;"})
    lines = text.splitlines()
    for said, path, number in (
        ("ours 2;", _nginx.DROP_IN, 2),
        ("b 2;", "/etc/nginx/conf.d/a.conf", 2),
        ("}", _nginx.MAIN, 4),
    ):
        assert origins[lines.index(said)] == (path, number)


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "etc/nginx").mkdir(parents=True)
    (tmp_path / "etc/nginx/nginx.conf").write_text("include nginx.conf;")
    with pytest.raises(HostError, match="nest too deep"):
        _nginx.read(Host(str(tmp_path)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("60", 60), ("1m30s", 90), ("2h", 7200), ("500ms", 0), ("off", None), ("", None)],
)
def test_seconds(text: str, expected: int | None) -> None:
    assert _web.seconds(text) == expected


def test_parts_of_a_drop_in_keep_out_of_each_others_way() -> None:
    both = _web.set_part("a", "a 2;")(_web.set_part("b", "b 1;")(_web.set_part("a", "a 1;")("")))
    assert both == f"{_web.HEADER}\n# -- a\na 2;\n\n# -- b\nb 1;\n"
    assert _web.set_part("a", "a 2;")(both) == both
