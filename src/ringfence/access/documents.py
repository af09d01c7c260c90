# SPDX-License-Identifier: GPL-3.0-or-later
"""From a collection, as a run wrote it down, to a population.

A collection is `{schema, kind: "access", run: {id, started, finished, …}, targets: [{name, state,
message, documents: [a collector's document, …]}, …]}`; see `check`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ringfence.access.model import Coverage, Population, Row, shape
from ringfence.errors import BadInputError


def population(found: Mapping[str, Any]) -> Population:
    """The accesses of a collection, each with where it comes from. Raises BadInputError."""
    run = found["run"]
    rows: dict[str, Row] = {}
    covered: list[Coverage] = []
    facts: dict[str, dict[str, Any]] = {}
    for target in found["targets"]:
        covered += _coverage(target)
        for document in target["documents"]:
            for row in _rows(document, target["name"]):
                rows[shape.identity(row)] = row
            facts.setdefault(target["name"], {}).update(document["facts"])
    return Population(
        id=run["id"],
        collected_at=run["finished"],
        rows=rows,
        coverage=tuple(covered),
        facts=facts,
        targets=tuple(target["name"] for target in found["targets"]),
        operator=str(run.get("operator") or ""),
    )


def _rows(document: Mapping[str, Any], target: str) -> Iterator[Row]:
    digest = shape.sha256(document)
    for found in document["rows"]:
        row = shape.full(found)
        row["system"] = shape.located(found, target)
        row["collected_at"] = document["collected_at"]
        row["source_sha256"] = digest
        row["source"] = found.get("source") or document["collector"]
        row["decision"] = "pending"
        yield row


def _coverage(target: Mapping[str, Any]) -> Iterator[Coverage]:
    if target["state"] != "ok":
        yield Coverage(target["name"], "host", "failed", target["message"] or target["state"])
    for document in target["documents"]:
        for one in document["coverage"]:
            yield Coverage(
                target["name"], one["source"], one["state"], one.get("message", ""),
                one.get("count"),
            )  # fmt: skip


def check(found: object, source: str) -> dict[str, Any]:
    """A collection, as it is. Raises BadInputError naming `source`."""
    if not isinstance(found, dict) or found.get("kind") != "access":
        raise BadInputError(f"{source}: is no collection of accesses")
    if found.get("schema") != shape.SCHEMA_VERSION:
        raise BadInputError(f"{source}: schema: expected {shape.SCHEMA_VERSION}")
    try:
        for target in found["targets"]:
            for document in target["documents"]:
                shape.check(document)
    except shape.RowError as error:
        raise BadInputError(f"{source}: {target['name']}: {error}") from None
    except (KeyError, TypeError) as error:
        raise BadInputError(f"{source}: is not as a run writes it: {error}") from None
    return found
