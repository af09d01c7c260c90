# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a review on this machine: loopback alone, for the one browser that has the token.

Other pages in that browser are kept out by the Host header (DNS rebinding), the Origin, a SameSite
cookie, and a word in each form; other users of the machine by the token.
"""

from __future__ import annotations

import hmac
import secrets
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ringfence.access_review import pages
from ringfence.access_review.draft import Draft, RefusedError
from ringfence.errors import BadInputError

_ADDRESS = "127.0.0.1"
_BODY_LIMIT = 2 * 1024 * 1024
_FIELDS = 1000
_TIMEOUT_S = 30
_COOKIE = "ringfence_review"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # no-referrer would make the Origin of forms "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_NO_SESSION = (
    "This page is for the browser that opened the address that `ringfence review serve` printed, "
    "which works once. Start it again for another.\n"
)


class _RefusedError(Exception):
    """A request that gets no answer but a line."""

    def __init__(self, status: HTTPStatus, line: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line


class Server(ThreadingHTTPServer):
    """Serves one review to one reviewer. `still_open`: False once it was signed elsewhere."""

    daemon_threads = True

    def __init__(
        self,
        draft: Draft,
        reviewer: str,
        port: int = 0,
        still_open: Callable[[], bool] | None = None,
    ) -> None:
        self.book = pages.Book(draft, reviewer)
        self.still_open = still_open or (lambda: True)
        self.lock = threading.Lock()
        self.token: str | None = secrets.token_urlsafe(32)
        self.session = secrets.token_urlsafe(32)
        self.csrf = secrets.token_urlsafe(32)
        self.said = ""
        super().__init__((_ADDRESS, port), _Handler)
        self.hosts = frozenset(f"{name}:{self.server_port}" for name in (_ADDRESS, "localhost"))

    def server_bind(self) -> None:
        """Bind, without asking DNS for the name of this machine."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = _ADDRESS, self.server_address[1]

    @property
    def url(self) -> str:
        """The address that lets one browser in, once."""
        return f"http://{_ADDRESS}:{self.server_port}/start?token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no news; what else goes wrong is."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        """A page."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """A form."""
        self._answer(self._post)

    def _answer(self, act: Callable[[], None]) -> None:
        try:
            self._check_host()
            act()
        except _RefusedError as refused:
            self._send(refused.status, "text/plain", refused.line)
        except BadInputError as error:
            self._send(HTTPStatus.CONFLICT, "text/plain", f"{error}\n")

    def _check_host(self) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            raise _RefusedError(
                HTTPStatus.FORBIDDEN, "This page is served to this machine alone.\n"
            )

    def _get(self) -> None:
        path, query = self._asked()
        if path == "/start":
            self._start(query.get("token", ""))
            return
        self._check_session()
        if path == "/":
            with self.server.lock:
                said, self.server.said = self.server.said, ""
                text = pages.render(
                    self.server.book, pages.Filter.of(query), self.server.csrf, said=said
                )
            self._send(HTTPStatus.OK, "text/html", text)
        elif path == "/review.css":
            self._send(HTTPStatus.OK, "text/css", pages.style())
        elif path == "/review.js":
            self._send(HTTPStatus.OK, "text/javascript", pages.script())
        else:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "There is no such page.\n")

    def _start(self, token: str) -> None:
        with self.server.lock:
            known = self.server.token
            if known is None or not _same(token, known):
                raise _RefusedError(HTTPStatus.FORBIDDEN, _NO_SESSION)
            self.server.token = None
        cookie = f"{_COOKIE}={self.server.session}; HttpOnly; SameSite=Strict; Path=/"
        self._send(HTTPStatus.SEE_OTHER, "text/plain", "", {"Location": "/", "Set-Cookie": cookie})

    def _check_session(self) -> None:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(_COOKIE)
        except CookieError:
            found = None
        if found is None or not _same(found.value, self.server.session):
            raise _RefusedError(HTTPStatus.FORBIDDEN, _NO_SESSION)

    def _post(self) -> None:
        origin = self.headers.get_all("Origin") or []
        own = f"http://{self.headers['Host'].lower()}"
        site = self.headers.get("Sec-Fetch-Site", "same-origin")
        if [one.lower() for one in origin] != [own] or site != "same-origin":
            raise _RefusedError(HTTPStatus.FORBIDDEN, "That form was not on this page.\n")
        self._check_session()
        form = self._form()
        if not _same(form.get("csrf", ""), self.server.csrf):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "That form was not on this page.\n")
        path, _query = self._asked()
        if path not in ("/decide", "/alike"):
            raise _RefusedError(HTTPStatus.NOT_FOUND, "There is no such page.\n")
        with self.server.lock:
            self._decide(path, form)

    def _decide(self, path: str, form: Mapping[str, str]) -> None:
        server, book = self.server, self.server.book
        if not server.still_open():
            raise _RefusedError(HTTPStatus.CONFLICT, "This review was signed or ended meanwhile.\n")
        chosen = pages.Filter.of(dict(parse_qsl(form.get("back", ""))))
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            if path == "/alike":
                done = book.decide_alike(chosen, form, at)
            else:
                done = book.decide(form, at)
        except RefusedError as refused:
            text = pages.render(book, chosen, server.csrf, form=form, problems=refused.problems)
            self._send(HTTPStatus.UNPROCESSABLE_ENTITY, "text/html", text)
            return
        server.said = f"{done} decided" if done else "Nothing was changed"
        query = chosen.query(alike="", page=1) if path == "/alike" else chosen.query()
        self._send(HTTPStatus.SEE_OTHER, "text/plain", "", {"Location": f"/?{query}"})

    def _asked(self) -> tuple[str, dict[str, str]]:
        try:
            parts = urlsplit(self.path)
            return parts.path, dict(parse_qsl(parts.query, max_num_fields=20))
        except ValueError:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "That is no address.\n") from None

    def _form(self) -> dict[str, str]:
        kind = self.headers.get_content_type()
        length = self.headers.get("Content-Length", "")
        if kind != "application/x-www-form-urlencoded" or not (
            length.isascii() and length.isdigit() and len(length) < 10
        ):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "Expected a form.\n")
        if int(length) > _BODY_LIMIT:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "That form is too long.\n")
        text = self.rfile.read(int(length)).decode("utf-8", "replace")
        try:
            return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS))
        except ValueError:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "That form is too long.\n") from None

    def _send(
        self, status: HTTPStatus, kind: str, text: str, more: Mapping[str, str] | None = None
    ) -> None:
        body = text.encode("utf-8", "backslashreplace")
        self.send_response(status)
        for name, value in {**_HEADERS, **(more or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, *_words: str | None, **_more: str | None) -> None:
        """One line, and nothing of the request in it."""
        self._send(HTTPStatus(code), "text/plain", f"{HTTPStatus(code).phrase}\n")

    def version_string(self) -> str:
        """Nobody needs to know which Python this is."""
        return "ringfence"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: an address holds the token."""


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), known.encode())
