# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking third parties: busy, slow, refusing, broken and wandering ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _rest

from tests.third_parties import servers
from tests.third_parties.servers import Failure, GoDaddy

PATH = "/v1/domains"


@pytest.fixture
def vendor() -> GoDaddy:
    return GoDaddy()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def api(vendor: GoDaddy, waits: list[float]) -> Iterator[_rest.Api]:
    with servers.serving(vendor) as base:
        headers = {"Authorization": vendor.authorization}
        yield _rest.Api(base, headers, seconds=1.0, attempts=3, wait=waits.append)


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([servers.BUSY], [1.0]),
        ([servers.BUSY_IN_BODY], [2.0]),
        ([servers.BUSY, servers.BUSY], [1.0, 1.0]),
        ([servers.BROKEN], [1.0]),
        ([servers.SLOW], [1.0]),
        ([Failure(429, {}, {"Retry-After": "soon"})], [1.0]),
    ],
    ids=["busy", "busy in the body", "twice", "broken", "slow", "no number"],
)
def test_what_passes_is_waited_for(
    vendor: GoDaddy,
    api: _rest.Api,
    waits: list[float],
    failures: list[Failure],
    expected: list[float],
) -> None:
    vendor.fail(PATH, *failures)
    assert len(api.get(PATH)) == 1
    assert waits == expected


@pytest.mark.parametrize(
    ("failures", "kind", "said"),
    [
        ([servers.DENIED], _rest.Refused, "it refuses to tell: 403 ACCESS_DENIED"),
        ([servers.UNAUTHORIZED], _rest.Refused, "it refuses to tell: 401 UNABLE_TO_AUTHENTICATE"),
        ([Failure(403, {"code": "key gd-key is bad"})], _rest.Refused, "it refuses to tell: 403"),
        ([servers.BUSY] * 3, _rest.RestError, "/v1/domains: it answers 429, after 3 tries"),
        (
            [Failure(429, {}, {"Retry-After": "86400"})],
            _rest.RestError,
            "/v1/domains: it answers 429, after 1 tries",
        ),
        ([servers.SLOW] * 3, _rest.RestError, "/v1/domains: no answer within 1 s, after 3 tries"),
        ([servers.REDIRECT], _rest.RestError, "it answers 302"),
        ([Failure(404)], _rest.Missing, "there is no such thing: 404"),
        ([Failure(422)], _rest.RestError, "it answers 422"),
    ],
    ids=["denied", "unknown key", "prose", "busy", "busy for a day", "slow", "elsewhere", "missing",
         "wrong"],
)  # fmt: skip
def test_what_does_not_pass_is_told_in_one_line(
    vendor: GoDaddy, api: _rest.Api, failures: list[Failure], kind: type[Exception], said: str
) -> None:
    vendor.fail(PATH, *failures)
    with pytest.raises(_rest.RestError) as caught:
        api.get(PATH)
    assert type(caught.value) is kind or kind is _rest.RestError
    assert str(caught.value) == said
    assert vendor.secret not in str(caught.value)


def test_a_server_that_is_not_there() -> None:
    api = _rest.Api("http://127.0.0.1:9", attempts=2, wait=lambda _seconds: None)
    with pytest.raises(_rest.RestError, match="the connection failed"):
        api.get("/")


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"<html>", b""])
def test_what_is_no_json(body: bytes) -> None:
    def application(_environ: object, start_response: object) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])  # type: ignore[operator]
        return [body]

    with servers.serving(application) as base, pytest.raises(_rest.RestError, match="no JSON"):
        _rest.Api(base).get("/")
