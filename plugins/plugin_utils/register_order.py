# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of several values of a control is the strictest, by the order the control declares.

`spec` is the `value` of a control: {name, type, default, choices?, min?, max?, stricter?}.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from operator import and_, or_
from typing import Any

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class IrreconcilableError(Exception):
    """Values of which none is the strictest; the message is one line."""


def is_ordered(spec: dict[str, Any]) -> bool:
    """Whether two different values of the control can be compared."""
    return "stricter" in spec or spec["type"] == "mode"


def strictest(spec: dict[str, Any], values: Sequence[Any]) -> Any:
    """The strictest of `values` (at least one). The order they come in makes no difference.

    Raises IrreconcilableError where they differ and no order is declared, or nothing is left.
    """
    distinct = _distinct(values)
    if len(distinct) == 1:
        return distinct[0]
    if not is_ordered(spec):
        raise IrreconcilableError(f"{_spelt(distinct)}: none of them is declared the stricter one")
    if spec["type"] == "mode":
        return _common_mode(spec, distinct)
    order = spec["stricter"]
    if order in ("superset", "subset"):
        return _common_list(spec, distinct)
    pick = max if order in ("higher", "last") else min
    if order in ("higher", "lower"):
        return pick(distinct)
    return pick(distinct, key=choices(spec).index)


def is_weaker(spec: dict[str, Any], value: Any, than: Any) -> bool:
    """Whether `value` grants something that `than` does not. Never, without an order."""
    if not is_ordered(spec):
        return False
    try:
        return bool(_comparable(strictest(spec, [value, than])) != _comparable(value))
    except IrreconcilableError:
        return True


def choices(spec: dict[str, Any]) -> list[Any]:
    """The declared choices; those of a switch are off and on."""
    declared: list[Any] = spec.get("choices", [False, True] if spec["type"] == "bool" else [])
    return declared


def seconds(duration: str) -> int:
    """`90s`, `30m`, `12h`, `7d`, `4w` in seconds."""
    found = re.fullmatch(r"([0-9]+)([smhdw])", duration)
    if found is None:
        raise ValueError(f"found {duration}, expected a duration such as 30m")
    return int(found[1]) * _SECONDS[found[2]]


def _distinct(values: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        # 1 == True in Python: a type is part of a value here
        if not any(type(value) is type(other) and value == other for other in found):
            found.append(value)
    return found


def _common_mode(spec: dict[str, Any], modes: list[str]) -> str:
    """Of permissions the bits that all grant; of a mask (superset) the bits that any takes away."""
    combine = or_ if spec.get("stricter") == "superset" else and_
    bits = reduce(combine, (int(mode, 8) for mode in modes))
    return f"{bits:0{max(len(mode) for mode in modes)}o}"


def _common_list(spec: dict[str, Any], lists: list[list[Any]]) -> list[Any]:
    if spec["stricter"] == "superset":
        chosen = {item for one in lists for item in one}
    else:
        chosen = set.intersection(*(set(one) for one in lists))
        if not chosen and all(lists):
            raise IrreconcilableError(f"{_spelt(lists)}: they have nothing in common")
    preference = [*choices(spec), *(spec.get("default") or [])]
    return sorted(chosen, key=lambda item: (_index(preference, item), str(item)))


def _index(preference: list[Any], item: Any) -> int:
    return preference.index(item) if item in preference else len(preference)


def _comparable(value: Any) -> Any:
    if isinstance(value, list):
        return frozenset(value)
    return int(value, 8) if isinstance(value, str) and re.fullmatch("[0-7]{3,5}", value) else value


def _spelt(values: Sequence[Any]) -> str:
    texts = [f"[{', '.join(map(str, one))}]" if isinstance(one, list) else one for one in values]
    return " and ".join(sorted(map(str, texts)))
