# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody with a browser's memory who opens pages of a host: cookies, redirects, forms."""

from __future__ import annotations

import http.client
import http.cookiejar
import re
import socket
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _totp

_PATIENCE = 60


@dataclass
class Page:
    """What came back at last, after redirects."""

    status: int
    address: str
    text: str

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.address).hostname or ""

    def form(self) -> dict[str, str]:
        """Names and values of the first form's fields."""
        reader = _Fields()
        reader.feed(self.text)
        return reader.found

    def says(self, number: int) -> bool:
        """Whether the portal shows its message of this number (LemonLDAP::NG's PE_ constants)."""
        return f'trmsg="{number}"' in self.text


class Visitor:
    """One browser; every domain is the host at `address`, or its own place in `elsewhere`.

    `source`: the address of this machine that it comes from.
    """

    def __init__(
        self,
        address: str,
        elsewhere: Mapping[str, tuple[str, int]] | None = None,
        source: str = "",
    ) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.cookies = http.cookiejar.CookieJar(
            http.cookiejar.DefaultCookiePolicy(strict_ns_domain=0)
        )
        self._opener = urllib.request.build_opener(
            _Connections(address, dict(elsewhere or {}), source, context),
            urllib.request.HTTPCookieProcessor(self.cookies),
            _Quiet(),
        )

    def get(self, address: str) -> Page:
        """Open an address."""
        return self._open(address)

    def post(self, address: str, **fields: str) -> Page:
        """Send a form."""
        data = urllib.parse.urlencode(fields).encode()
        return self._open(address, data)

    def sign_in(self, site: str, user: str, password: str) -> Page:
        """From a site's admin path to the portal's answer to user and password."""
        page = self.get(site)
        return self.post(page.address, **{**page.form(), "user": user, "password": password})

    def give_code(self, page: Page, code: str) -> Page:
        """Answer the portal's question for a code."""
        where = urllib.parse.urljoin(page.address, "/totp2fcheck")
        return self.post(where, **{**page.form(), "code": code})

    def enrol(self, link: str, password: str) -> Enrolled:
        """Follow a one-time link to its end."""
        begun = self.post(link, step="begin")
        secret = re.sub(r"\s", "", re.findall(r'<code id="key">([A-Z2-7 ]+)</code>', begun.text)[0])
        token = Token(secret)
        code = token.next()
        done = self.post(link, step="finish", password=password, again=password, code=code)
        recovery = re.findall(r"<li><code>([a-z0-9-]+)</code></li>", done.text)
        return Enrolled(password, token, recovery, done)

    def _open(self, address: str, data: bytes | None = None) -> Page:
        if not address.startswith("https://"):
            raise ValueError(f"{address}: expected https")
        request = urllib.request.Request(address, data=data)  # noqa: S310 - https, as checked
        request.add_header("User-Agent", "Mozilla/5.0 (test)")
        with self._opener.open(request, timeout=_PATIENCE) as answer:
            return Page(answer.status, answer.geturl(), answer.read().decode("utf-8", "replace"))


class Token:
    """An authenticator app that never shows a code twice: it goes one step on instead."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.last = 0
        self.shown = ""

    def next(self) -> str:
        """A code that was not shown before and that the host takes now, waiting where it must."""
        while True:
            now = _totp.step_of(time.time())
            step = max(self.last + 1, now)  # the one before may be over when it is judged
            if step <= now + 1:
                self.last = step
                self.shown = _totp.code_of(self.secret, step)
                return self.shown
            time.sleep(0.5)

    def ahead(self) -> str:
        """The code of the next step, taken already and for half a minute yet."""
        self.last = _totp.step_of(time.time()) + 1
        self.shown = _totp.code_of(self.secret, self.last)
        return self.shown


@dataclass
class Enrolled:
    """A person who can sign in."""

    password: str
    token: Token
    recovery: list[str]
    page: Page


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "input" and given.get("name"):
            self.found.setdefault(str(given["name"]), given.get("value") or "")


class _Quiet(urllib.request.HTTPErrorProcessor):
    """An answer of 403 is an answer; redirects are followed."""

    def http_response(self, request: Any, response: Any) -> Any:
        if 300 <= response.status < 400:
            return super().http_response(request, response)
        return response

    https_response = http_response


class _Connections(urllib.request.HTTPSHandler):
    def __init__(
        self,
        address: str,
        elsewhere: dict[str, tuple[str, int]],
        source: str,
        context: ssl.SSLContext,
    ) -> None:
        super().__init__(context=context)
        self._address, self._elsewhere, self._tls = address, elsewhere, context
        self._source = (source, 0) if source else None

    def https_open(self, request: Any) -> Any:
        def connect(host: str, timeout: float = _PATIENCE, **_more: Any) -> Any:
            connection = http.client.HTTPSConnection(host, timeout=timeout, context=self._tls)
            connection._create_connection = (  # type: ignore[attr-defined]
                lambda place, timeout, _source: socket.create_connection(
                    self._elsewhere.get(place[0], (self._address, place[1])), timeout, self._source
                )
            )
            return connection

        return self.do_open(connect, request)
