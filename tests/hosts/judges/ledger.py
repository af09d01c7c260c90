# SPDX-License-Identifier: GPL-3.0-or-later
"""What we answer to each finding of a judge, and where our audit and the judge disagree.

An entry of lynis.yml, openscap.yml or ssh_audit.yml, under the judge's own id:

  about         what the judge asks, in our words
  controls      ids of ours that ask the same
  judge_alone   why the judge may find it although our control passes or does not apply
  ours_alone    why our control may fail although the judge passes it
  unanswered    why no control of ours asks it

An entry speaks for its own id alone: a finding that is new to us has none, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.hosts.judges.verdicts import JUDGES, Verdict

FOLDER = Path(__file__).parent
_BAD = {"fail", "manual", "waived", "changed", "error"}
_FIELDS = {"about", "controls", "judge_alone", "ours_alone", "unanswered"}


@dataclass(frozen=True)
class Entry:
    """One answer; see the module's own words for the fields."""

    about: str
    controls: tuple[str, ...] = ()
    judge_alone: str = ""
    ours_alone: str = ""
    unanswered: str = ""


@dataclass(frozen=True)
class Row:
    """One id on one host: what the judge says, what our audit says, and what explains it.

    `ours` is pass, fail, not applicable or "" (no control asks it). `agreed` is whether both say
    the same; `reason` explains where they do not; "" where nothing does.
    """

    judge: str
    finding: str
    judged: str
    ours: str
    agreed: bool
    reason: str
    controls: tuple[str, ...]

    @property
    def silent(self) -> bool:
        """A disagreement that nobody explains: what must not be."""
        return not self.agreed and not self.reason


@cache
def load(judge: str) -> Mapping[str, Entry]:
    """The answers to one judge. Raises ValueError with one line for an entry that is none."""
    path = FOLDER / f"{judge}.yml"
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: _entry(f"{path.name}: {name}", fields) for name, fields in raw.items()}


def _entry(where: str, fields: Mapping[str, object]) -> Entry:
    unknown = set(fields) - _FIELDS
    if unknown or "about" not in fields:
        raise ValueError(f"{where}: expected about and some of {', '.join(sorted(_FIELDS))}")
    controls = fields.get("controls", [])
    texts: dict[str, Any] = {
        name: " ".join(str(text).split()) for name, text in fields.items() if name != "controls"
    }
    if not isinstance(controls, list):
        raise ValueError(f"{where}: controls: expected a list")
    if bool(controls) == bool(texts.get("unanswered")):
        raise ValueError(f"{where}: expected either controls or unanswered")
    return Entry(controls=tuple(controls), **texts)


def answer(judge: str, finding: str) -> Entry | None:
    """The entry for an id; None where nobody has answered it."""
    return load(judge).get(finding)


def compare(verdict: Verdict, statuses: Mapping[str, str]) -> list[Row]:
    """Every finding, and every id that an entry ties to controls; `statuses` is our audit's."""
    tied = {name for name, entry in load(verdict.judge).items() if entry.controls}
    asked = tied | set(verdict.findings)
    rows = [_row(verdict, name, statuses) for name in sorted(asked)]
    return [row for row in rows if row.judged != "not asked"]


def _row(verdict: Verdict, finding: str, statuses: Mapping[str, str]) -> Row:
    judged = verdict.says(finding)
    entry = answer(verdict.judge, finding)
    if entry is None:
        return Row(verdict.judge, finding, judged, "", False, "", ())
    if not entry.controls:
        return Row(verdict.judge, finding, judged, "", False, entry.unanswered, ())
    ours = _ours(statuses[name] for name in entry.controls)
    if judged == "found":
        agreed, reason = ours == "fail", entry.judge_alone
    else:
        agreed, reason = ours != "fail", entry.ours_alone
    reason = "" if agreed else reason
    return Row(verdict.judge, finding, judged, ours, agreed, reason, entry.controls)


def _ours(statuses: Iterable[str]) -> str:
    seen = set(statuses)
    if seen & _BAD:
        return "fail"
    return "pass" if "pass" in seen else "not applicable"


def every_entry() -> Iterable[tuple[str, str, Entry]]:
    """Judge, id, entry."""
    for judge in JUDGES:
        for name, entry in load(judge).items():
            yield judge, name, entry
