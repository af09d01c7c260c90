# SPDX-License-Identifier: GPL-3.0-or-later
"""Values and texts that came from hosts, made fit to be read: nothing hidden, nothing acting."""

from __future__ import annotations

import json
import re
import unicodedata

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# invisible or direction-changing: a text must read as it is stored
_INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def visible(text: str) -> str:
    """`text` with control, direction and undecodable characters shown instead of obeyed."""
    if text.isprintable() and not _INVISIBLE.search(text):
        return text
    return _INVISIBLE.sub(_named, _CONTROL.sub(_pictured, text))


def _pictured(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}"


def _named(match: re.Match[str]) -> str:
    return f"[{unicodedata.name(match[0], f'U+{ord(match[0]):04X}').lower()}]"


def shown(value: object) -> str | None:
    """A value as one reads it: yes and no, lists with commas; None stays None."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return ", ".join(shown(item) or "" for item in value)
    return visible(json.dumps(value, ensure_ascii=False, sort_keys=True))
