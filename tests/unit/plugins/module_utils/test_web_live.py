# SPDX-License-Identifier: GPL-3.0-or-later
"""A running web server asked over loopback, and what it says other than its files."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _web_live
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

QUIET, TALKATIVE = "web", "web/2.4.62"


class _Answers(BaseHTTPRequestHandler):
    said = QUIET
    traces = False

    def version_string(self) -> str:
        return self.said

    def do_GET(self) -> None:
        self.send_error(400)

    def do_TRACE(self) -> None:
        self.send_response(200 if self.traces else 405)
        self.send_header("Content-Type", "message/http")
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def listening() -> Iterator[Any]:
    servers: list[HTTPServer] = []

    def start(**answers: Any) -> _web_live.Address:
        server = HTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), answers))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return ("127.0.0.1", server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(tmp_path: Path) -> _web_live.Server:
    (tmp_path / "web.pid").write_text(f"{os.getpid()}\n")
    return _web_live.Server("Web", "web", str(tmp_path / "web.pid"))


def control(live: str | None, value: Any = None) -> Control:
    return Control("a", "apache_option", {"live": live} if live else {}, value)


@pytest.mark.parametrize(
    ("live", "value", "answers", "expected"),
    [
        ("server_header", "Prod", {"said": QUIET}, None),
        ("server_header", "Prod", {"said": TALKATIVE}, f"answers as {TALKATIVE}"),
        ("trace", "Off", {"traces": False}, None),
        ("trace", "Off", {"traces": True}, "answers TRACE"),
        ("trace", "On", {"traces": True}, None),
        (None, "Prod", {"said": TALKATIVE}, None),
        # Asked of listeners with TLS only.
        ("protocols", ["TLSv1.3"], {"said": TALKATIVE}, None),
    ],
)
def test_what_a_server_does_otherwise(
    listening: Any,
    server: _web_live.Server,
    live: str | None,
    value: Any,
    answers: dict[str, Any],
    expected: str | None,
) -> None:
    where = listening(**answers)
    found = _web_live.complaints(Host(), control(live, value), server, lambda: [(where, False)])
    said = [f"127.0.0.1:{where[1]} still {expected}: Web must reload"] if expected else []
    assert found == said


def test_a_listener_with_tls_is_not_asked_in_the_clear(
    listening: Any, server: _web_live.Server
) -> None:
    where = listening(said=TALKATIVE)
    asked = control("server_header", "Prod")
    assert _web_live.complaints(Host(), asked, server, lambda: [(where, True)]) == []


def test_what_is_to_reload_or_does_not_run_is_not_asked(
    listening: Any, server: _web_live.Server
) -> None:
    where, host = listening(said=TALKATIVE), Host()
    asked = control("server_header", "Prod")
    stopped = server._replace(pid_file=f"{server.pid_file}.old")
    assert _web_live.complaints(host, asked, stopped, lambda: [(where, False)]) == []
    assert _web_live.complaints(host, asked, server, lambda: [(where, False)]) != []
    host.awaited.add("web")
    assert _web_live.complaints(host, asked, server, lambda: [(where, False)]) == []
