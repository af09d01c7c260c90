# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the web servers' mechanisms share: values as they are written, ciphers, drop-ins of parts.

A drop-in of ours is made of parts, each headed by a line with its name, so that controls can set
theirs without knowing of the others'.
"""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    Control,
    Edit,
    and_others,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import HostError

_MARK = "# -- "
HEADER = "# Written by Ringfence; changes made here are lost.\n"
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TIME = re.compile(r"(\d+)(ms|[smhdwM]?)")
_UNITS = {"seconds": 1, "bytes": 1, "mebibytes": 1 << 20}
# Limits at which 0 means none.
_ENDLESS = 1 << 62
_SHOWN = 3


def set_part(name: str, body: str) -> Edit:
    """An edit for a drop-in of ours: one part called `name`, others kept, sorted by name."""

    def edit(text: str) -> str:
        parts = _parts(text)
        parts[name] = body.rstrip("\n") + "\n"
        return HEADER + "".join(f"\n{_MARK}{key}\n{parts[key]}" for key in sorted(parts))

    return edit


def _parts(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in re.split(rf"^{_MARK}", text, flags=re.MULTILINE)[1:]:
        name, _newline, body = part.partition("\n")
        found[name.strip()] = body.rstrip("\n") + "\n"
    return found


def spliced(before: str, after: str, line: int) -> Edit:
    """An edit that puts `after` in the place of `before`, which stands on `line` or begins there.

    The text may have moved by an earlier edit: the occurrence nearest to `line` is taken.
    """

    def edit(text: str) -> str:
        spots = [match.start() for match in re.finditer(re.escape(before), text)]
        if not spots:
            raise HostError(f"{before.split()[0]} is not where it was when it was looked at")
        at = min(spots, key=lambda spot: abs(1 + text.count("\n", 0, spot) - line))
        return text[:at] + after + text[at + len(before) :]

    return edit


def seconds(text: str) -> int | None:
    """nginx's 60, 60s, 1m30s as seconds; None for what is no time."""
    if not re.fullmatch(f"(?:{_TIME.pattern})+", text):
        return None
    return int(sum(int(count) * SECONDS[unit or "s"] for count, unit in _TIME.findall(text)))


def size(text: str) -> int | None:
    """1048576, 1024k, 1m as bytes; None for what is no size."""
    match = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    return int(match[1]) * _SIZES[match[2]] if match else None


def number(kind: str, text: str, *, endless_zero: bool = False) -> int | None:
    """A time or size in the unit of `kind` (seconds, bytes, mebibytes), rounded up."""
    found = seconds(text) if kind == "seconds" else size(text)
    if found is None:
        return None
    if found == 0 and endless_zero:
        return _ENDLESS
    return -(-found // _UNITS[kind])


def expanded_ciphers(text: str) -> list[str]:
    """The suites below TLS 1.3 that OpenSSL makes of a cipher string. Raises HostError."""
    import ssl  # ten milliseconds that hosts without TLS need not spend

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.set_ciphers(text)
    except (ssl.SSLError, ValueError) as error:
        raise HostError(f"OpenSSL takes no cipher from {text}: {error}") from error
    return [row["name"] for row in context.get_ciphers() if not row["name"].startswith("TLS_")]


def disliked(control: Control, seen: Any) -> str:
    """What to name in a message: of a list only what should not be in it."""
    if isinstance(seen, list) and isinstance(control.value, list):
        strange = [str(item) for item in seen if item not in control.value]
        more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        return (", ".join(strange[:_SHOWN]) or "nothing") + more
    return str(seen)


def shortened(found: list[str]) -> str:
    """The first of several findings, and how many more there are."""
    others = and_others(len(found))
    return f"{found[0]}{others}" if found else ""
