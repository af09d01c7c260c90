# SPDX-License-Identifier: GPL-3.0-or-later
"""A run cut down to what one client may see. Cut first, counted and rendered after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any

WITHHELD = "withheld: it concerns another client"


class ScopeError(Exception):
    """A report would say something of another client; the message does not say what."""


@dataclass(frozen=True)
class Scope:
    """What a report may show: `name` heads it, `hosts` are all it speaks of, beside what is no
    server and belongs to `client` (its id).

    `foreign` are strings of everybody else: names, domains, accounts, folders. On a host that is
    shared, a text that holds one of them is withheld; elsewhere it stops the report.
    """

    name: str
    hosts: frozenset[str]
    foreign: frozenset[str] = frozenset()
    client: str = ""

    def holds(self, host: Mapping[str, Any]) -> bool:
        """Whether a row of a run document is one of these hosts, or a target of this client."""
        if host["host"].get("kind", "host") == "host":
            return host["name"] in self.hosts
        return bool(self.client) and host["host"].get("client") == self.client

    def admits(self, text: str) -> bool:
        """Whether `text` holds no string of anybody else."""
        return _admits(text, self.foreign)


@lru_cache(maxsize=20_000)
def _admits(text: str, foreign: frozenset[str]) -> bool:
    folded = text.casefold()
    return not any(word in folded for word in _folded(foreign))


@lru_cache(maxsize=4)
def _folded(words: frozenset[str]) -> tuple[str, ...]:
    return tuple(word.casefold() for word in words if word)


def cut(document: Mapping[str, Any], scope: Scope | None) -> Mapping[str, Any]:
    """The run document with nothing in it that is outside `scope`."""
    if scope is None:
        return document
    run = {**document["run"], "limit": None, "controller": ""}
    hosts = [_host(host, scope) for host in document["hosts"] if scope.holds(host)]
    return {**document, "run": run, "hosts": hosts}


def _host(host: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    results = [
        {key: value if key in ("id", "status") else withheld(value, scope)
         for key, value in result.items()}
        for result in host["results"]
    ]  # fmt: skip
    rest = {key: withheld(host[key], scope) for key in ("message", "host")}
    kept = {key: host[key] for key in ("name", "state", "collected") if key in host}
    return {**kept, **rest, "results": results}


def withheld(value: Any, scope: Scope) -> Any:
    """`value`, each text in it that is not for this client's eyes replaced."""
    if isinstance(value, str):
        return value if scope.admits(value) else WITHHELD
    if isinstance(value, list):
        return [withheld(item, scope) for item in value]
    if isinstance(value, dict):
        return {
            (key if scope.admits(key) else WITHHELD): withheld(item, scope)
            for key, item in value.items()
        }
    return value


def refuse_leaks(report: object, scope: Scope | None) -> None:
    """Search every text of a finished report. Raises ScopeError, which names only the place."""
    if scope is None:
        return
    for place, text in _texts(report, "report"):
        if not scope.admits(text):
            raise ScopeError(
                f"no report for {scope.name}: {place} holds a name that belongs to another client"
            )


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _texts(getattr(value, field.name), f"{place}.{field.name}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key, f"{place} (a key)")
            yield from _texts(item, f"{place}.{key}")
    elif isinstance(value, tuple | list):
        for number, item in enumerate(value):
            yield from _texts(item, f"{place}[{number}]")
