# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A third party's JSON interface: waits when told to, follows no redirect, tells no secret."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

_BODY = 32 * 1024 * 1024
_PAGES = 1000
_LONGEST_WAIT = 120.0


class RestError(Exception):
    """No usable answer; the message is one line without any secret."""


class Refused(RestError):  # noqa: N818 - what happened, as its callers say it
    """The other side does not want to tell: 401 or 403. `code`: its own word for why."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"it refuses to tell: {status}{f' {code}' if code else ''}")
        self.status, self.code = status, code


class Missing(RestError):  # noqa: N818
    """404: there is no such thing."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the credentials to wherever it points."""

    def redirect_request(self, *_args: Any) -> None:
        return None


@dataclass
class Api:
    """One interface. `seconds`: for each answer; `attempts`: at one request, waits included."""

    base: str
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 20.0
    attempts: int = 4
    wait: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._open = urllib.request.build_opener(_Stay()).open

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """The decoded answer. Raises RestError."""
        return self._patiently("GET", path, query)

    def send(self, method: str, path: str) -> None:
        """Have something changed, without a body. A try whose answer got lost is repeated.

        Raises RestError; Missing too where such a try had already deleted it.
        """
        self._patiently(method, path, None)

    def _patiently(self, method: str, path: str, query: Mapping[str, object] | None) -> Any:
        url = self.base.rstrip("/") + path
        if query:
            url += "?" + urllib.parse.urlencode(query)
        waited = 0.0
        for attempt in range(1, self.attempts + 1):
            try:
                return self._once(method, url)
            except _LaterError as later:
                pause = later.seconds if later.seconds is not None else 2.0 ** (attempt - 1)
                if attempt == self.attempts or waited + pause > _LONGEST_WAIT:
                    raise RestError(f"{path}: {later}, after {attempt} tries") from None
                self.wait(pause)
                waited += pause
        raise RestError(f"{path}: was not asked")

    def numbered(
        self, path: str, rows: str, query: Mapping[str, object], *, last: Callable[[Any], int]
    ) -> Iterator[Any]:
        """The rows of all pages of `path`, by page number; `last` tells which is the last one."""
        for number in range(1, _PAGES + 1):
            found = self.get(path, {**query, "page": number})
            yield from _list(found, rows, path)
            if number >= last(found):
                return
        raise RestError(f"{path}: has more than {_PAGES} pages")

    def counted(
        self, path: str, rows: str, query: Mapping[str, object], size: int
    ) -> Iterator[Any]:
        """The rows of all pages, by `count` and `offset`; `total_items` says how many."""
        for page in range(_PAGES):
            found = self.get(path, {**query, "count": size, "offset": page * size})
            yield from _list(found, rows, path)
            if (page + 1) * size >= int(found.get("total_items", 0)):
                return
        raise RestError(f"{path}: has more than {_PAGES} pages")

    def _once(self, method: str, url: str) -> Any:
        headers = {"Accept": "application/json", **self.headers}
        request = urllib.request.Request(  # noqa: S310 - the operator's own
            url, headers=headers, method=method
        )
        try:
            with self._open(request, timeout=self.seconds) as answer:
                body = answer.read(_BODY + 1)
                return _decoded(body) if method == "GET" else None
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from None
        except TimeoutError:
            raise _LaterError(f"no answer within {self.seconds:g} s") from None
        except (urllib.error.URLError, HTTPException, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, socket.gaierror):
                raise RestError("its name cannot be resolved") from None
            if isinstance(reason, TimeoutError):
                raise _LaterError(f"no answer within {self.seconds:g} s") from None
            raise _LaterError(f"the connection failed ({type(reason).__name__})") from None


class _LaterError(RestError):
    """Worth another try. `seconds`: when, if the other side said so."""

    def __init__(self, said: str, seconds: float | None = None) -> None:
        super().__init__(said)
        self.seconds = seconds


def _refusal(error: urllib.error.HTTPError) -> RestError:
    try:
        said = json.loads(error.read(_BODY))
    except (OSError, ValueError, HTTPException):
        said = {}
    said = said if isinstance(said, dict) else {}
    if error.code in (401, 403):
        # Only a word of it: an error's prose may repeat what was sent.
        code = str(said.get("code") or said.get("error") or "")
        return Refused(error.code, code if code.replace("_", "").isalnum() else "")
    if error.code == 404:
        return Missing("there is no such thing: 404")
    if error.code == 429 or error.code >= 500:
        return _LaterError(f"it answers {error.code}", _pause(error, said))
    return RestError(f"it answers {error.code}")


def _pause(error: urllib.error.HTTPError, said: Mapping[str, Any]) -> float | None:
    given = error.headers.get("Retry-After") or said.get("retryAfterSec")
    try:
        return max(0.0, float(str(given)))
    except ValueError:
        return None


def _decoded(body: bytes) -> Any:
    if len(body) > _BODY:
        raise RestError(f"the answer is larger than {_BODY // 1024 // 1024} MiB")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RestError("the answer is no JSON") from None


def _list(found: Any, key: str, path: str) -> list[Any]:
    rows = found.get(key) if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise RestError(f"{path}: the answer has no list {key}")
    return rows
