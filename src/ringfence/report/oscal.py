# SPDX-License-Identifier: GPL-3.0-or-later
"""OSCAL assessment results in JSON, of whatever was judged.

OSCAL knows satisfied and not satisfied, the latter as fail or other: what could not be told is
never satisfied. The identifiers hang on the seed and on what is told, and on no time.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringfence import __version__
from ringfence.report.exchange import SPACE, line

VERSION = "1.1.3"
_NAMESPACE = "urn:ringfence:oscal"
Props = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Observation:
    """What was seen of `targets`. `key`: what tells it from all others of the document.

    `kind`: finding, control-objective (it was asked, and nothing is wrong) or discovery.
    """

    key: tuple[object, ...]
    title: str
    description: str
    kind: str
    collected: str
    targets: tuple[str, ...] = ()
    props: Props = ()


@dataclass(frozen=True)
class Accepted:
    """A deviation that somebody accepted until the end of a day, as YYYY-MM-DD."""

    key: tuple[object, ...]
    title: str
    statement: str
    until: str
    props: Props = ()


@dataclass(frozen=True)
class Finding:
    """What came of a control. `reason`: pass (nothing else is satisfied), fail or other."""

    control: str
    title: str
    rationale: str
    remedy: str
    reason: str
    status_remarks: str = ""
    observations: tuple[Observation, ...] = ()
    accepted: tuple[Accepted, ...] = ()
    props: Props = ()


@dataclass(frozen=True)
class Assessment:
    """All of a document. `targets`: name -> description; `other`: what belongs to no finding."""

    seed: str
    title: str
    version: str
    generated: str
    plan: str
    description: str
    start: str
    end: str
    targets: Mapping[str, str]
    findings: tuple[Finding, ...]
    other: tuple[Observation, ...] = ()


def render(assessment: Assessment) -> str:
    """The document in JSON."""
    told = {"assessment-results": _Document(assessment).whole()}
    return json.dumps(told, indent=1, ensure_ascii=True) + "\n"


@dataclass
class _Document:
    told: Assessment
    _items: dict[str, str] = field(default_factory=dict)

    def whole(self) -> dict[str, Any]:
        told = self.told
        plan = {
            "uuid": self.id("plan"),
            "title": "Plan of the assessment",
            "description": f"{told.plan} There is no plan in OSCAL.",
        }
        return {
            "uuid": self.id("results"),
            "metadata": {
                "title": line(told.title),
                "last-modified": told.generated,
                "version": told.version,
                "oscal-version": VERSION,
                "props": _props((("tool", f"ringfence {__version__}"),)),
            },
            "import-ap": {"href": f"#{plan['uuid']}"},
            "results": [self.result()],
            "back-matter": {"resources": [plan]},
        }

    def result(self) -> dict[str, Any]:
        told = self.told
        chosen = [{"control-id": one.control} for one in told.findings]
        selection = {"include-controls": chosen} if chosen else {"description": "nothing to judge"}
        seen = [one for finding in told.findings for one in finding.observations]
        items = [self.item(name, words) for name, words in sorted(told.targets.items())]
        result: dict[str, Any] = {
            "uuid": self.id("result"),
            "title": line(told.title),
            "description": told.description,
            "start": told.start,
            "end": told.end,
            "local-definitions": {"inventory-items": items} if items else [],
            "reviewed-controls": {"control-selections": [selection]},
            "observations": [self.observation(one) for one in (*seen, *told.other)],
            "risks": [self.risk(one) for finding in told.findings for one in finding.accepted],
            "findings": [self.finding(one) for one in told.findings],
        }
        return _filled(result)

    def item(self, name: str, words: str) -> dict[str, Any]:
        return {
            "uuid": self.item_id(name),
            "description": line(words),
            "props": _props((("target", name),)),
        }

    def observation(self, one: Observation) -> dict[str, Any]:
        return _filled(
            {
                "uuid": self.id(*one.key),
                "title": line(one.title),
                "description": line(one.description),
                "props": _props(one.props),
                "methods": ["EXAMINE"],
                "types": [one.kind],
                "subjects": [
                    {"subject-uuid": self.item_id(name), "type": "inventory-item"}
                    for name in one.targets
                ],
                "collected": one.collected,
            }
        )

    def risk(self, one: Accepted) -> dict[str, Any]:
        return _filled(
            {
                "uuid": self.id(*one.key),
                "title": line(one.title),
                "description": "The deviation was accepted; it is no pass.",
                "statement": line(one.statement) or "No reason was given.",
                "props": _props(one.props),
                "status": "deviation-approved",
                "deadline": f"{one.until}T23:59:59Z",
            }
        )

    def finding(self, one: Finding) -> dict[str, Any]:
        state = "satisfied" if one.reason == "pass" else "not-satisfied"
        status = {"state": state, "reason": one.reason}
        if one.status_remarks:
            status["remarks"] = line(one.status_remarks)
        return _filled(
            {
                "uuid": self.id("finding", one.control),
                "title": line(one.title),
                "description": line(one.rationale) or line(one.title),
                "props": _props(one.props),
                "target": {"type": "objective-id", "target-id": one.control, "status": status},
                "related-observations": [
                    {"observation-uuid": self.id(*seen.key)} for seen in one.observations
                ],
                "related-risks": [{"risk-uuid": self.id(*risk.key)} for risk in one.accepted],
                "remarks": line(one.remedy) or line(one.title),
            }
        )

    def item_id(self, name: str) -> str:
        # asked for once a host and control, so it is kept
        if name not in self._items:
            self._items[name] = self.id("item", name)
        return self._items[name]

    def id(self, *parts: object) -> str:
        return str(uuid.uuid5(SPACE, "\0".join((self.told.seed, *map(str, parts)))))


def _props(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": n, "ns": _NAMESPACE, "value": line(value) or "none"} for n, value in pairs]


def _filled(value: dict[str, Any]) -> dict[str, Any]:
    """Without lists that are empty, which OSCAL does not allow."""
    return {key: item for key, item in value.items() if item != []}
