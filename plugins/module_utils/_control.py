# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the engine and the mechanisms hand each other: control, observation, verdict, stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

PASS = "pass"  # noqa: S105
FAIL = "fail"
CHANGED = "changed"
NOT_APPLICABLE = "not_applicable"
WAIVED = "waived"
MANUAL = "manual"
ERROR = "error"
STATUSES = (PASS, FAIL, CHANGED, NOT_APPLICABLE, WAIVED, MANUAL, ERROR)


@dataclass(frozen=True)
class Control:
    """A control with its value for one host. Prose stays on the controller."""

    id: str
    mechanism: str
    params: dict[str, Any]
    value: Any = None
    stricter: str | None = None
    choices: tuple[Any, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    requires: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    disruption: str = "none"
    automatic: bool = True
    demanded: bool = True  # by the host's profile; else it is looked at, and never changed
    waiver: dict[str, Any] | None = None

    def meets(self, seen: Any) -> bool:
        """Whether `seen` is the value asked for, or one that the control declares stricter."""
        if seen == self.value:
            return True
        if self.stricter == "higher":
            return _is_number(seen) and self.value < seen <= _or_infinite(self.maximum, 1)
        if self.stricter == "lower":
            return _is_number(seen) and _or_infinite(self.minimum, -1) <= seen < self.value
        if (
            self.stricter in ("first", "last")
            and seen in self.choices
            and self.value in self.choices
        ):
            step = self.choices.index(seen) - self.choices.index(self.value)
            return step < 0 if self.stricter == "first" else step > 0
        if self.stricter == "superset":
            return set(seen) >= set(self.value)
        if self.stricter == "subset":
            return bool(seen) and set(seen) <= set(self.value)
        return False


@dataclass(frozen=True)
class Observation:
    """What was seen: `state` for judge and plan, `shown` for people, `changes` nothing."""

    state: dict[str, Any]
    shown: str


@dataclass(frozen=True)
class Verdict:
    """pass, fail, not_applicable or manual, with the reason in one line.

    `by_hand`: part of a fail lies where only a person may change it, and stays after an apply.
    """

    status: str
    message: str = ""
    by_hand: bool = False


def and_others(count: int) -> str:
    """What follows the first of `count` findings: how many more there are."""
    return f" (and {count - 1} more)" if count > 1 else ""


Edit = Callable[[str], str]
Validator = str


@dataclass
class _FileChange:
    control: Control
    path: str
    edit: Edit
    mode: int
    validator: Validator | None


@dataclass
class _Step:
    control: Control
    act: Callable[[Host], None]
    sysctls: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


class Stage:
    """All that an apply would do, in memory: nothing is written until the engine flushes it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.files: list[_FileChange] = []
        self.steps: list[_Step] = []
        self.packages: dict[str, tuple[str, Control]] = {}
        self.units: dict[str, tuple[str, Control]] = {}
        self.notified: dict[str, set[str]] = {}
        self._control: Control | None = None

    def begin(self, control: Control) -> None:
        """From here on what is staged belongs to `control`."""
        self._control = control
        self.notified.setdefault(control.id, set()).update(control.notify)

    def drop(self, control_id: str) -> None:
        """Forget all that `control_id` staged."""
        self.files = [c for c in self.files if c.control.id != control_id]
        self.steps = [s for s in self.steps if s.control.id != control_id]
        self.packages = {k: v for k, v in self.packages.items() if v[1].id != control_id}
        self.units = {k: v for k, v in self.units.items() if v[1].id != control_id}
        self.notified.pop(control_id, None)

    def edit(
        self, path: str, edit: Edit, *, mode: int = 0o644, validator: Validator | None = None
    ) -> None:
        """Stage `edit` (old text -> new text; an absent file is ""). Edits of a path add up."""
        self.files.append(_FileChange(self._owner(), path, edit, mode, validator))

    def step(
        self,
        act: Callable[[Host], None],
        *,
        sysctls: tuple[str, ...] = (),
        paths: tuple[str, ...] = (),
    ) -> None:
        """Stage a change of the live state.

        `sysctls`, `paths`: kernel settings and files that it changes, for the guard to put back.
        """
        self.steps.append(_Step(self._owner(), act, sysctls, paths))

    def package(self, name: str, state: str) -> None:
        """Stage that a package be `present` or `absent`; all are acted on in one go.

        One that several ask for belongs to who can shut somebody out: the guard comes first then.
        """
        known = self.packages.get(name)
        if known is None or known[0] != state or known[1].disruption != "access":
            self.packages[name] = (state, self._owner())

    def unit(self, name: str, state: str) -> None:
        """Stage that a systemd unit be `enabled`, `disabled` or `masked` (and run accordingly)."""
        self.units[name] = (state, self._owner())

    def notify(self, name: str) -> None:
        """Stage a reload by name (see _notify.py), once for all who ask."""
        self.notified.setdefault(self._owner().id, set()).add(name)

    def staged_controls(self) -> set[str]:
        """The ids of the controls that would change something."""
        found = {change.control.id for change in self.files}
        found |= {step.control.id for step in self.steps}
        found |= {owner.id for _state, owner in self.packages.values()}
        return found | {owner.id for _state, owner in self.units.values()}

    def _owner(self) -> Control:
        if self._control is None:
            raise RuntimeError("begin() comes first")
        return self._control


def set_line(key: str, line: str, header: str) -> Edit:
    """An edit for a drop-in of ours: exactly one `line` for `key`, others kept, sorted."""

    def edit(text: str) -> str:
        kept = {_key(old): old for old in text.splitlines() if old and not old.startswith("#")}
        kept[key] = line
        return header + "".join(f"{kept[name]}\n" for name in sorted(kept))

    return edit


def _key(line: str) -> str:
    return line.replace("=", " ").split()[0]


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _or_infinite(bound: int | None, sign: int) -> float:
    return sign * float("inf") if bound is None else bound
