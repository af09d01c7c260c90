# SPDX-License-Identifier: GPL-3.0-or-later
"""A population of accesses, and what is found in it, as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ringfence import collection

# see plugins/module_utils/_access_row.py: what runs on a host and here is written once
shape: Any = collection.module_util("_access_row")

Row = dict[str, Any]
COLUMNS: tuple[str, ...] = shape.COLUMNS
UNREACHED = ("unreachable", "error", "not_run")


@dataclass(frozen=True)
class Coverage:
    """What came of one source of a target. `state`: read, failed, absent, not_collected.

    A target that could not be asked at all has a single record, of the source `host`.
    """

    target: str
    source: str
    state: str
    message: str = ""
    count: int | None = None

    @property
    def unknown(self) -> bool:
        """Something is there that this population says nothing of."""
        return self.state in ("failed", "not_collected")


@dataclass(frozen=True)
class Finding:
    """Something wrong with accesses, or with a thing that is no access (then `rows` is empty).

    `rows`: identities (see `identity` of _access_row). `person`: an id of people.yml, or "".
    `status`: fail, or error where it could not be told; that is never a pass.
    """

    control: str
    target: str
    message: str
    rows: tuple[str, ...] = ()
    person: str = ""
    client: str = ""
    observed: str = ""
    status: str = "fail"


@dataclass(frozen=True)
class Population:
    """All accesses that a collection found. `rows` by identity, each with every column.

    `facts`: target -> name -> what a collector told beside its rows. `targets`: what was asked.
    """

    id: str
    collected_at: str
    rows: Mapping[str, Row]
    coverage: tuple[Coverage, ...] = ()
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    operator: str = ""

    @property
    def gaps(self) -> tuple[Coverage, ...]:
        """What this population says nothing of."""
        return tuple(record for record in self.coverage if record.unknown)

    def count_by(self, column: str) -> Counter[str]:
        """How many rows have which value in a column."""
        return Counter(str(row[column]) for row in self.rows.values())


def target_of(row: Mapping[str, Any]) -> str:
    """The inventory's name of what a row was found on: web1 of `cms:web1/shop.example`."""
    return str(row["system"]).partition(":")[2].partition("/")[0]


def kind_of(row: Mapping[str, Any]) -> str:
    """The kind of a row's system: cms of `cms:web1/shop.example`."""
    return str(row["system"]).partition(":")[0]


def place_of(row: Mapping[str, Any]) -> str:
    """What on the target: shop.example of `cms:web1/shop.example`; empty for the whole."""
    return str(row["system"]).partition(":")[2].partition("/")[2]
