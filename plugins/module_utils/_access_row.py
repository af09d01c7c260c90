# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One access, one row: the shape that collectors return, and that a review decides upon.

A collector returns a document: rows, coverage (what was read, and what was not) and facts (what is
no access and yet judged, such as a domain's transfer lock). Collectors leave out what they do not
know; an empty value and a missing one are the same, and neither is ever a "no".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]
Document = dict[str, Any]

SCHEMA_VERSION = 1
# A row's columns, in the order of every table. What else a source tells lies in `details`.
COLUMNS = (
    *("system", "client", "account_id", "username", "person", "person_status", "account_type"),
    *("owner", "department", "purpose", "roles", "privileged", "grant_path", "created"),
    *("last_login", "last_key_use", "credential_type", "key_fingerprint", "key_age", "mfa"),
    *("start", "stop", "flags", "change", "decision", "reviewer", "decided_at", "reason", "ticket"),
    *("enforced_at", "verified_at", "source", "collected_at", "source_sha256"),
)
# Those of them that a collector fills; the rest comes from the register and from the review.
COLLECTED = (
    *("system", "account_id", "username", "account_type", "roles", "privileged", "grant_path"),
    *("created", "last_login", "last_key_use", "credential_type", "key_fingerprint", "key_age"),
    *("mfa", "start", "stop", "flags", "source"),
)
LISTS = ("roles", "grant_path", "flags")
SYSTEMS = ("server", "sftp", "database", "cms", "web", "bucket", "console", "dns", "cdn", "mail")
ACCOUNT_TYPES = ("human", "service", "shared", "breakglass", "vendor")
MFA_STATES = ("yes", "no", "unknown")
# read: all of it. failed: it is there and could not be read. absent: the host has no such thing.
# not_collected: nobody looked, or the other side refused to say.
COVERAGE_STATES = ("read", "failed", "absent", "not_collected")

_TEXT = 2000
_ROWS = 200_000
_DEFAULTS: dict[str, Any] = {"mfa": "unknown", "privileged": None, "key_age": None}


class RowError(Exception):
    """A row or document that is not of this shape; the message is one line."""


def row(system: str, account_id: object, username: str, **known: Any) -> Row:
    """A row of a collector, with what is known and nothing else.

    `details` (a mapping) holds what has no column. Raises RowError for a column that is none.
    """
    strange = known.keys() - {*COLLECTED, "details"}
    if strange:
        raise RowError(f"a row has no column {sorted(strange)[0]}")
    made = {"system": system, "account_id": str(account_id), "username": username, **known}
    made["details"] = {k: v for k, v in (known.get("details") or {}).items() if _told(v)}
    return {key: value for key, value in made.items() if _told(value)}


def coverage(source: str, state: str, message: str = "", count: int | None = None) -> Document:
    """What came of one source: `count` is how many things it told of."""
    if state not in COVERAGE_STATES:
        raise RowError(f"coverage is {state}, expected one of {', '.join(COVERAGE_STATES)}")
    found: Document = {"source": source, "state": state}
    if message:
        found["message"] = message[:_TEXT]
    if count is not None:
        found["count"] = count
    return found


def document(
    collector: str,
    collected_at: str,
    rows: Iterable[Row],
    covered: Iterable[Document],
    facts: Mapping[str, Any] | None = None,
) -> Document:
    """What a collector returns. `collected_at` is UTC, as 2026-01-31T12:00:00Z."""
    return {
        "schema": SCHEMA_VERSION,
        "collector": collector,
        "collected_at": collected_at,
        "rows": list(rows),
        "coverage": list(covered),
        "facts": dict(facts or {}),
    }


def utc_now() -> str:
    """The time now, as documents spell it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical(value: object) -> bytes:
    """The one form that is hashed: sorted keys, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def sha256(value: object) -> str:
    """The SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def identity(one: Mapping[str, Any]) -> str:
    """What tells one access from every other, over collections: 16 hexadecimal digits.

    Where, which account, and by which credential; never what may change while it stays the same
    access, such as roles and last sign-ins.
    """
    details = one.get("details") or {}
    parts = [one.get(key) or "" for key in ("system", "account_id", "username", "credential_type")]
    parts += [one.get("key_fingerprint") or "", details.get("credential") or ""]
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:16]


def located(one: Mapping[str, Any], target: str) -> str:
    """The `system` of a population: `server:web1`, `cms:web1/shop.example`.

    `target` is the inventory's name of what was asked; a host has no say in it.
    """
    place = (one.get("details") or {}).get("place")
    return f"{one['system']}:{target}{f'/{place}' if place else ''}"


def full(one: Mapping[str, Any]) -> Row:
    """The row with every column: lists and texts empty where nothing is known."""
    whole: Row = {}
    for column in COLUMNS:
        value = one.get(column)
        if not _told(value):
            value = [] if column in LISTS else _DEFAULTS.get(column, "")
        whole[column] = value
    whole["details"] = dict(one.get("details") or {})
    return whole


def check(found: object) -> Document:
    """A collector's document, as it is. Raises RowError: what a host says may be anything."""
    if not isinstance(found, dict) or found.get("schema") != SCHEMA_VERSION:
        raise RowError(f"the collection is not of schema {SCHEMA_VERSION}")
    for key, kind in (("rows", list), ("coverage", list), ("facts", dict)):
        if not isinstance(found.get(key), kind):
            raise RowError(f"the collection's {key} is no {kind.__name__}")
    for key in ("collector", "collected_at"):
        if not isinstance(found.get(key), str):
            raise RowError(f"the collection's {key} is no text")
    if len(found["rows"]) > _ROWS:
        raise RowError(f"the collection has {len(found['rows'])} rows, expected at most {_ROWS}")
    for number, one in enumerate(found["rows"]):
        _check_row(one, f"rows[{number}]")
    for number, one in enumerate(found["coverage"]):
        if not isinstance(one, dict) or one.get("state") not in COVERAGE_STATES:
            raise RowError(f"coverage[{number}] of the collection has no known state")
        if not isinstance(one.get("source"), str):
            raise RowError(f"coverage[{number}] of the collection names no source")
    try:
        canonical(found)
    except (TypeError, ValueError, RecursionError) as error:
        raise RowError(f"the collection is not JSON: {error}") from None
    return found


def _check_row(one: object, where: str) -> None:
    if not isinstance(one, dict):
        raise RowError(f"{where} of the collection is no mapping")
    strange = one.keys() - {*COLLECTED, "details"}
    if strange:
        raise RowError(f"{where} of the collection has no column {sorted(map(str, strange))[0]}")
    if one.get("system") not in SYSTEMS:
        raise RowError(f"{where}.system of the collection is no known system")
    if not isinstance(one.get("details", {}), dict):
        raise RowError(f"{where}.details of the collection is no mapping")
    if one.get("mfa", "unknown") not in MFA_STATES:
        raise RowError(f"{where}.mfa of the collection is not one of {', '.join(MFA_STATES)}")
    if one.get("account_type", "human") not in ACCOUNT_TYPES:
        raise RowError(f"{where}.account_type of the collection is no known type")
    if one.get("privileged") not in (None, True, False):
        raise RowError(f"{where}.privileged of the collection is neither true nor false")
    for key, value in one.items():
        _check_value(key, value, f"{where}.{key}")


def _check_value(key: str, value: object, where: str) -> None:
    if key in LISTS:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise RowError(f"{where} of the collection is no list of texts")
    elif key == "key_age":
        if value is not None and not isinstance(value, int):
            raise RowError(f"{where} of the collection is no number of days")
    elif key not in ("details", "privileged") and not isinstance(value, str):
        raise RowError(f"{where} of the collection is no text")


def _told(value: object) -> bool:
    return value is not None and value != "" and value != [] and value != {}
