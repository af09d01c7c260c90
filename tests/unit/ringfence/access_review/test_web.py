# SPDX-License-Identifier: GPL-3.0-or-later
"""The page over plain HTTP: who is let in, what a form may do, what is refused."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from ringfence.access_review import web
from ringfence.access_review.model import Decision
from tests.unit.ringfence.access.fleet import clean_rows, key
from tests.unit.ringfence.access.test_report import HOSTILE, hostile_rows

from .desk import AT, named, serving

FORM = "application/x-www-form-urlencoded"


class Visitor:
    """A browser's part: remembers the cookie, sends what a browser would."""

    def __init__(self, server: web.Server) -> None:
        self.server = server
        self.own = f"127.0.0.1:{server.server_port}"
        self.cookie = ""

    def ask(
        self, method: str, path: str, body: str | None = None, **headers: str | None
    ) -> tuple[int, dict[str, str], str]:
        """(status, headers, text). A header given as None is not sent."""
        sent: dict[str, str | None] = {"Host": self.own, "Cookie": self.cookie or None}
        if method == "POST":
            sent |= {"Origin": f"http://{self.own}", "Content-Type": FORM}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        link = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=60)
        try:
            link.putrequest(method, path, skip_host=True)
            for name, value in sent.items():
                if value is not None:
                    link.putheader(name, value)
            data = (body or "").encode()
            if method == "POST" and "Content-Length" not in sent:
                link.putheader("Content-Length", str(len(data)))
            link.endheaders()
            if data:
                link.send(data)
            answer = link.getresponse()
            text = answer.read().decode()
            return answer.status, dict(answer.getheaders()), text
        finally:
            link.close()

    def enter(self) -> str:
        """Use the token; the page."""
        status, headers, _text = self.ask("GET", self.server.url.partition(self.own)[2])
        assert (status, headers["Location"]) == (303, "/")
        self.cookie = headers["Set-Cookie"].partition(";")[0]
        return self.ask("GET", "/")[2]

    def form(self, path: str = "/", action: str = "/decide") -> dict[str, str]:
        """The fields of a form on a page, as a browser would send them."""
        return fields(self.ask("GET", path)[2], action)


class _Fields(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self.action, self.here, self.found = action, False, {}  # type: ignore[var-annotated]

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        said = dict(attrs)
        if tag == "form":
            self.here = said.get("action") == self.action
        elif tag == "input" and self.here and "name" in said and self._is_sent(said):
            self.found[said["name"]] = said.get("value") or ""

    @staticmethod
    def _is_sent(said: Any) -> bool:
        return "disabled" not in said and (said.get("type") != "radio" or "checked" in said)


def fields(text: str, action: str = "/decide") -> dict[str, str]:
    parser = _Fields(action)
    parser.feed(text)
    return parser.found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[web.Server]:
    yield from serving(tmp_path, [*hostile_rows(), key("ben", "SHA256:strange", uid="s")])


@pytest.fixture
def visitor(server: web.Server) -> Visitor:
    return Visitor(server)


def test_it_listens_on_this_machine_alone(server: web.Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with socket.socket() as probe, pytest.raises(OSError, match="refused"):
        probe.connect(("127.0.0.2", server.server_port))


def test_the_token_lets_one_browser_in_once(visitor: Visitor) -> None:
    path = visitor.server.url.partition(visitor.own)[2]
    assert visitor.ask("GET", "/")[0] == 403
    assert visitor.ask("GET", f"{path}x")[0] == 403
    assert visitor.ask("GET", "/start?token=")[0] == 403
    status, headers, _text = visitor.ask("GET", path)
    assert status == 303
    assert re.search(r"; HttpOnly; SameSite=Strict; Path=/$", headers["Set-Cookie"])
    assert visitor.ask("GET", path)[0] == 403
    assert visitor.ask("GET", "/start?token=None")[0] == 403
    assert visitor.ask("GET", "/")[0] == 403
    assert visitor.ask("GET", "/", Cookie="ringfence_review=wrong")[0] == 403
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert visitor.ask("GET", "/", Cookie=cookie)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "", None,
                                  "127.0.0.1:1", "localhost.evil.example:{port}"])  # fmt: skip
def test_another_host_name_is_refused(visitor: Visitor, host: str | None) -> None:
    visitor.enter()
    form = urlencode(visitor.form())
    name = host.format(port=visitor.server.server_port) if host is not None else None
    for method, body in (("GET", None), ("POST", form)):
        path = "/" if method == "GET" else "/decide"
        status, _headers, text = visitor.ask(method, path, body, Host=name)
        assert status == 403
        assert "SHA256" not in text
    assert visitor.server.book.draft.decisions == {}


def test_localhost_is_this_machine_too(visitor: Visitor) -> None:
    visitor.enter()
    assert visitor.ask("GET", "/", Host=f"localhost:{visitor.server.server_port}")[0] == 200


@pytest.mark.parametrize(
    ("headers", "change", "status"),
    [
        ({"Origin": "http://evil.example"}, {}, 403),
        ({"Origin": "null"}, {}, 403),
        ({"Origin": None}, {}, 403),
        ({"Origin": "http://127.0.0.1:1"}, {}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, {}, 403),
        ({"Sec_Fetch_Site": "same-site"}, {}, 403),
        ({"Cookie": None}, {}, 403),
        ({"Cookie": "ringfence_review=wrong"}, {}, 403),
        ({"Cookie": "\x01"}, {}, 403),
        ({}, {"csrf": "wrong"}, 403),
        ({}, {"csrf": ""}, 403),
        ({"Content_Type": "text/plain"}, {}, 400),
        ({"Content_Type": "application/json"}, {}, 400),
        ({"Content_Length": "99999999"}, {}, 413),
        ({"Content_Length": "-1"}, {}, 400),
        ({"Content_Length": "x"}, {}, 400),
        ({}, {f"x{number}": "1" for number in range(1100)}, 400),
    ],
)  # fmt: skip
def test_a_form_that_is_not_ours_decides_nothing(
    visitor: Visitor, headers: dict[str, str | None], change: dict[str, str], status: int
) -> None:
    visitor.enter()
    name = named(visitor.server.book.review, "care_sam")
    form = {**visitor.form(), f"d.{name}": "keep", **change}
    assert visitor.ask("POST", "/decide", urlencode(form), **headers)[0] == status
    assert visitor.server.book.draft.decisions == {}


def test_a_row_is_decided_and_the_journal_has_it(visitor: Visitor) -> None:
    visitor.enter()
    name = named(visitor.server.book.review, "care_sam")
    form = {**visitor.form(), f"d.{name}": "revoke", f"r.{name}": " contract\tends ",
            f"t.{name}": "OPS-1"}  # fmt: skip
    status, headers, _text = visitor.ask("POST", "/decide", urlencode(form))
    assert (status, headers["Location"]) == (303, "/?")
    found = visitor.server.book.draft.decisions
    assert list(found) == [name]
    assert found[name].reviewer == "ben"
    assert (found[name].decision, found[name].reason) == ("revoke", "contract ends")
    page = visitor.ask("GET", "/")[2]
    assert "1 decided" in page
    assert name not in page
    assert name in visitor.ask("GET", "/?show=revoke")[2]
    # what is sent again as it was is no decision
    again = urlencode(visitor.form("/?show=all"))
    assert visitor.ask("POST", "/decide", again)[0] == 303
    assert visitor.server.book.draft.path.read_bytes().count(b"\n") == 1


def test_a_refused_form_saves_nothing_and_keeps_what_was_typed(visitor: Visitor) -> None:
    visitor.enter()
    book = visitor.server.book
    name, other = named(book.review, "care_sam"), named(book.review, "root")
    form = {**visitor.form(), f"d.{name}": "revoke", f"d.{other}": "keep", f"t.{name}": "<OPS>"}
    status, _headers, text = visitor.ask("POST", "/decide", urlencode(form))
    assert status == 422
    assert "revoke needs a reason" in text
    assert "Nothing was saved" in text
    assert 'value="&lt;OPS&gt;"' in text
    assert book.draft.decisions == {}


@pytest.mark.parametrize("whose", ["ben", "ada"])
def test_ones_own_access_and_what_one_granted_is_refused(visitor: Visitor, whose: str) -> None:
    visitor.enter()
    book = visitor.server.book
    name = next(n for n in book.order if book.review.rows[n]["username"] == whose)
    assert f'name="d.{name}" value="keep" disabled' in visitor.ask("GET", "/")[2]
    form = {**visitor.form(), f"was.{name}": book.line(name, {}, "").was, f"d.{name}": "keep",
            f"r.{name}": "mine"}  # fmt: skip
    status, _headers, text = visitor.ask("POST", "/decide", urlencode(form))
    assert status == 422
    assert "somebody else has to decide it" in text
    assert book.draft.decisions == {}


def test_what_another_decided_meanwhile_is_not_overwritten(visitor: Visitor) -> None:
    visitor.enter()
    book = visitor.server.book
    name = named(book.review, "care_sam")
    form = {**visitor.form(), f"d.{name}": "keep"}
    book.draft.decide({name: Decision("revoke", "zoe", AT, "contract ends")})
    status, _headers, text = visitor.ask("POST", "/decide", urlencode(form))
    assert status == 422
    assert "somebody else decided it meanwhile" in text
    assert book.draft.decisions[name].decision == "revoke"


def test_alike_rows_are_decided_together_but_never_ones_own(visitor: Visitor) -> None:
    visitor.enter()
    book = visitor.server.book
    form = {**visitor.form("/", "/alike"), "d": "keep", "r": "looked at each"}
    assert int(form["many"]) < len(book.review.rows)
    late = {**form, "many": "1"}
    assert visitor.ask("POST", "/alike", urlencode(late))[0] == 422
    assert visitor.ask("POST", "/alike", urlencode({**form, "r": ""}))[0] == 422
    assert visitor.ask("POST", "/alike", urlencode({**form, "d": ""}))[0] == 422
    assert book.draft.decisions == {}
    assert visitor.ask("POST", "/alike", urlencode(form))[0] == 303
    assert len(book.draft.decisions) == int(form["many"])
    assert {book.review.why_not(name, "ben") for name in book.draft.decisions} == {""}


def test_after_the_sign_off_nothing_is_decided(visitor: Visitor) -> None:
    visitor.enter()
    form = {**visitor.form(), f"d.{named(visitor.server.book.review, 'care_sam')}": "keep"}
    visitor.server.still_open = lambda: False
    assert visitor.ask("POST", "/decide", urlencode(form))[0] == 409
    assert visitor.server.book.draft.decisions == {}


def test_a_page_is_locked_down_and_nothing_hostile_acts_in_it(visitor: Visitor) -> None:
    visitor.enter()
    status, headers, text = visitor.ask("GET", f"/?{urlencode({'q': HOSTILE, 'show': 'all'})}")
    assert status == 200
    assert "<img" not in text
    assert "\u202e" not in text
    text += visitor.ask("GET", "/?show=all")[2]
    assert "<img" not in text
    assert text.count("<script") == 2  # one a page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Server"] == "ringfence"
    assert not re.search(r"https?://", text)


@pytest.mark.parametrize(
    ("query", "many"),
    [
        ("", 12), ("show=nonsense&page=-7", 12), ("q=care_sam", 1), ("q=SAM+web1", 1),
        ("kind=cms", 3), ("control=access_key_owner", 2), ("q=nothing-of-the-kind", 0),
        ("show=decided", 0), ("page=999999", 12), ("alike=nonsense", 0),
    ],
)  # fmt: skip
def test_the_filter(visitor: Visitor, query: str, many: int) -> None:
    visitor.enter()
    text = visitor.ask("GET", f"/?{query}")[2]
    assert text.count('<li class="row') == many


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/../etc/passwd", 404), ("GET", "/x", 404), ("PUT", "/", 501), ("OPTIONS", "/", 501),
     ("GET", "http://[", 400), ("GET", "/?" + "&".join(f"a{n}=1" for n in range(50)), 400)],
)  # fmt: skip
def test_other_requests(visitor: Visitor, method: str, path: str, status: int) -> None:
    visitor.enter()
    found, headers, text = visitor.ask(method, path)
    assert found == status
    assert "Traceback" not in text
    assert headers["X-Frame-Options"] == "DENY"


def test_the_page_is_one_screenful_however_many_there_are(tmp_path: Path) -> None:
    rows = [key(f"u{number}", f"SHA256:{number}", uid=str(number)) for number in range(300)]
    for server in serving(tmp_path, [*clean_rows(), *rows]):
        visitor = Visitor(server)
        text = visitor.enter()
        assert text.count('<li class="row') == 40
        assert 'rel="next"' in text
        assert "1 to 40 of 308" in text
        last = visitor.ask("GET", "/?page=8")[2]
        assert "281 to 308 of 308" in last
        assert urlsplit(server.url).hostname == "127.0.0.1"
