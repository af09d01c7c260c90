# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HEAD of very many objects over a few connections that stay open.

A request that the service is too busy for is sent again later, and all others slow down with it.
An answer that never came is an Answer with status 0: it is not known, and never a pass.
"""

from __future__ import annotations

import asyncio
import math
import random
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._s3_signing import (
    Credentials,
    Signer,
    path_of,
    query_of,
)

_TRIES = 8
# A service that is busy all the same at this pace is asked on: each request waits by itself too.
_SLOWEST_PER_S = 25.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 20.0
_ANSWER_TIMEOUT_S = 30.0
_BUSY = frozenset({429, 500, 502, 503, 504})
# Each look at an answer costs: only these headers are kept.
_KEPT = frozenset(
    {
        b"x-amz-server-side-encryption",
        b"x-amz-server-side-encryption-aws-kms-key-id",
        b"x-amz-server-side-encryption-bucket-key-enabled",
        b"x-amz-server-side-encryption-customer-algorithm",
        b"x-amz-bucket-region",
    }
)


class Target(NamedTuple):
    """An object, or one version of it."""

    key: str
    version: str = ""


class Answer(NamedTuple):
    """What came back: the HTTP status, 0 where nothing did (`why` says it), and kept headers."""

    status: int
    headers: dict[str, str] = {}  # noqa: RUF012 - never written to
    why: str = ""


@dataclass(frozen=True)
class Endpoint:
    """Where a bucket is asked: `in_host` where its name is part of the host's."""

    host: str
    port: int
    bucket: str
    region: str
    in_host: bool
    tls: ssl.SSLContext | None

    @property
    def authority(self) -> str:
        """The Host header: the port only where it is not the usual one."""
        usual = 443 if self.tls else 80
        return self.host if self.port == usual else f"{self.host}:{self.port}"


class Pace:
    """No more than `rate` requests a second (0: as many as go); halves while the service is busy,
    and climbs back slowly."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._ceiling = rate
        self._rate = rate
        self._clock = clock
        self._next = 0.0
        self._slowed_at = 0.0
        self._seen = 0
        self._since = clock()

    async def wait(self) -> None:
        """Until the next request may be sent."""
        self._seen += 1
        if not self._rate:
            return
        now = self._clock()
        self._climb(now)
        self._next = max(self._next, now) + 1 / self._rate
        if self._next - now > 0.001:
            await asyncio.sleep(self._next - now)

    def too_fast(self) -> None:
        """The service says it is busy; several answers of one moment count once."""
        now = self._clock()
        if now - self._slowed_at < 1:
            return
        measured = self._seen / max(now - self._since, 0.1)
        self._rate = min(
            max((self._rate or measured) / 2, _SLOWEST_PER_S), self._ceiling or math.inf
        )
        self._slowed_at, self._next = now, now

    def _climb(self, now: float) -> None:
        quiet = now - self._slowed_at
        if quiet > 5 and self._rate != self._ceiling:
            self._rate *= 1.2
            self._slowed_at = now - 3
            if self._ceiling and self._rate >= self._ceiling:
                self._rate = self._ceiling


class Heads:
    """Open connections to one bucket; used as `async with`."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Callable[[], Credentials],
        *,
        connections: int = 32,
        rate: float = 0,
    ) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._signer = Signer(endpoint.authority, endpoint.region)
        self._lines: list[_Line] = [_Line(endpoint) for _number in range(connections)]
        self._pace = Pace(rate, asyncio.get_running_loop().time)
        self.requests = 0

    async def __aenter__(self) -> Heads:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for line in self._lines:
            line.close()

    async def ask(self, targets: Sequence[Target]) -> list[Answer]:
        """The answers, in the order of `targets`."""
        answers: list[Answer] = [Answer(0)] * len(targets)
        waiting = iter(range(len(targets)))

        async def work(line: _Line) -> None:
            for number in waiting:
                answers[number] = await self._ask_one(line, targets[number])

        await asyncio.gather(*(work(line) for line in self._lines[: len(targets)]))
        return answers

    async def _ask_one(self, line: _Line, target: Target) -> Answer:
        answer = Answer(0)
        for attempt in range(_TRIES):
            if attempt:
                longest = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)
                await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - no secret
            await self._pace.wait()
            self.requests += 1
            answer = await line.head(self._request(target))
            if answer.status in _BUSY:
                self._pace.too_fast()
            elif answer.status:
                return answer
        return Answer(0, {}, answer.why or f"still busy after {_TRIES} tries: {answer.status}")

    def _request(self, target: Target) -> bytes:
        query = {"versionId": target.version} if target.version else {}
        path = path_of(self._endpoint.bucket, target.key, in_host=self._endpoint.in_host)
        headers = self._signer.headers(self._credentials(), "HEAD", path, query)
        asked = f"{path}?{query_of(query)}" if query else path
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HEAD {asked} HTTP/1.1\r\n{lines}\r\n".encode()


class _Line:
    """One connection, opened when it is needed and again when it broke."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def head(self, request: bytes) -> Answer:
        """One request and what came back; status 0 where the connection failed."""
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                return await self._exchange(request)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.close()
            return Answer(0, {}, str(error) or type(error).__name__)
        except (ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            return Answer(0, {}, f"not HTTP: {error}")

    async def _exchange(self, request: bytes) -> Answer:
        reader, writer = await self._opened()
        writer.write(request)
        status, headers, closes = parse(await reader.readuntil(b"\r\n\r\n"))
        while status == 100:
            status, headers, closes = parse(await reader.readuntil(b"\r\n\r\n"))
        if closes:
            self.close()
        return Answer(status, headers)

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._open is None or self._open[1].is_closing():
            self._open = await asyncio.open_connection(
                self._endpoint.host, self._endpoint.port, ssl=self._endpoint.tls
            )
        return self._open

    def close(self) -> None:
        """Let the connection go; a new one is opened by the next request."""
        if self._open is not None:
            with suppress(Exception):
                self._open[1].close()
        self._open = None


def parse(head: bytes) -> tuple[int, dict[str, str], bool]:
    """Status, kept headers, and whether the connection ends here. Raises ValueError."""
    first, *lines = head.split(b"\r\n")
    version, _space, rest = first.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError(f"found {first[:40]!r}")
    headers, closes = {}, version == b"HTTP/1.0"
    for line in lines:
        name, _colon, value = line.partition(b":")
        name = name.lower()
        if name in _KEPT:
            headers[name.decode()] = value.strip().decode("utf-8", "replace")
        elif name == b"connection":
            closes = value.strip().lower() == b"close"
    return int(rest[:3]), headers, closes
