# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Text that came from a host, made fit for a terminal."""

from __future__ import annotations

import json
import re
from typing import Any

_ESCAPE_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, clear screen
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # OSC, DCS and the like: title, clipboard
    r"|[ -/]*[0-~])"
)
# C0 and C1 controls, directional overrides, line separators, lone surrogates
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    """`text` less everything that steers a terminal; newlines and tabs stay."""
    return _UNSAFE.sub("", _ESCAPE_SEQUENCE.sub("", text))


def one_line(value: Any, limit: int = 200) -> str:
    """Any JSON value as one printable line of at most `limit` characters."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        value = ", ".join(map(str, value))
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    text = " ".join(printable(text[: 4 * limit]).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
