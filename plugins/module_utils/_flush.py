# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carries out a stage: packages, validated files, live settings, units, reloads; in that order.

Each control's failure is its own. What must be reloaded is noted on disk before a file is written,
so that a run that was killed in between is made good by the next one.
"""

from __future__ import annotations

import importlib
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _notify, _packages, _validate
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control, Stage
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)

if TYPE_CHECKING:  # shipped to the host, yet loaded only by a run that arms it
    from ansible_collections.ringfence.hosting.plugins.module_utils import _guard  # noqa: F401


_PENDING = "/var/lib/ringfence/pending-reloads.json"
_ACCESS = "access"
_UNIT_VERBS = {"enabled": "enable", "disabled": "disable", "masked": "mask"}


class GuardOptions(NamedTuple):
    """`seconds` the guard waits for a confirmation (0 arms none), its id, and who is at work."""

    seconds: int
    id: str = ""
    operator: str = ""


NO_GUARD = GuardOptions(0)


class Flush:
    """One apply's writing. `failures`: control id -> reason. `touched`: ids that wrote."""

    def __init__(self, host: Host, *, check: bool, guard: GuardOptions) -> None:
        self.host = host
        self.check = check
        self.guard = guard
        self.failures: dict[str, str] = {}
        self.touched: set[str] = set()
        self.broken_reloads: dict[str, str] = {}
        self.packages_changed = False
        self._diffs: dict[str, dict[str, str]] = {}
        self._guard: dict[str, Any] | None = None
        self._pending: set[str] = set()

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return bool(self.touched)

    def carry_out(self, stage: Stage) -> None:
        """Do (or, in check mode, only show) all that `stage` holds."""
        self.failures = {}
        contents = self._validated(stage)
        self._show(stage, contents)
        if self.check:
            return
        self._fetch(stage)
        # What cannot shut anybody out is installed before the guard's clock runs.
        self._packages(stage, guarded=False)
        self._arm(stage, contents)
        self._note_reloads(stage)
        self._packages(stage, guarded=True)
        self._files(stage, self._validated(stage) if self.packages_changed else contents)
        self._steps(stage)
        self._units(stage)

    def finish(self) -> None:
        """Reload what must be; also what an earlier run, killed in mid-way, left unreloaded."""
        if self.check:
            return
        left = self._pending | _left_pending(self.host)
        for name in sorted(left):
            try:
                _notify.carry_out(self.host, name)
            except HostError as error:
                self.broken_reloads[name] = str(error)
        if left and not self.broken_reloads:
            with suppress(OSError):
                Path(self.host.real(_PENDING)).unlink()

    def outcome(self) -> dict[str, Any]:
        """`diff`; `guard` where one is armed; `broken_reloads` (name -> reason) where there are."""
        found: dict[str, Any] = {"diff": list(self._diffs.values())}
        if self.broken_reloads:
            found["broken_reloads"] = self.broken_reloads
        if self._guard is not None:
            found["guard"] = self._guard
        return found

    def _validated(self, stage: Stage) -> dict[str, bytes]:
        """Path -> new content, of all files that pass their validator."""
        contents = self._contents(stage)
        for validator in sorted({f.validator for f in stage.files if f.validator}):
            group = {f.path for f in stage.files if f.validator == validator}
            complaint = self._complaint(validator, {p: contents[p] for p in group if p in contents})
            if complaint is None:
                continue
            self._drop_culprits(stage, validator, complaint)
            contents = self._contents(stage)
        return contents

    def _contents(self, stage: Stage) -> dict[str, bytes]:
        texts: dict[str, str] = {}
        for change in list(stage.files):
            try:
                before = texts.get(change.path)
                if before is None:
                    before = self.host.text(change.path) or ""
                texts[change.path] = change.edit(before)
            except HostError as error:
                self._fail(stage, change.control, str(error))
        return {path: text.encode("utf-8", "surrogateescape") for path, text in texts.items()}

    def _complaint(self, validator: str, contents: dict[str, bytes]) -> str | None:
        try:
            return _validate.complaint(self.host, validator, contents)
        except HostError as error:
            return str(error)

    def _drop_culprits(self, stage: Stage, validator: str, complaint: str) -> None:
        """Try each control's edits alone; drop those that fail, or all where none fails alone."""
        owners = {f.control.id: f.control for f in stage.files if f.validator == validator}
        culprits = [
            owner for owner in owners.values() if self._fails_alone(stage, validator, owner)
        ]
        for owner in culprits or owners.values():
            self._fail(stage, owner, f"refused by its validator, nothing written: {complaint}")

    def _fails_alone(self, stage: Stage, validator: str, owner: Control) -> bool:
        alone = Stage(self.host)
        alone.files = [f for f in stage.files if f.control.id == owner.id]
        return self._complaint(validator, self._contents(alone)) is not None

    def _show(self, stage: Stage, contents: dict[str, bytes]) -> None:
        for path, data in contents.items():
            before = self.host.text(path) or ""
            after = data.decode("utf-8", "surrogateescape")
            if before == after:
                continue
            first = self._diffs.get(path, {}).get("before", _as_text(before))
            self._diffs[path] = {
                "before": first,
                "after": _as_text(after),
                "before_header": path,
                "after_header": path,
            }
        for name, (state, _owner) in stage.packages.items():
            other = "absent" if state == "present" else "present"
            self._show_state(f"package {name}", other, state)
        for name, (state, _owner) in stage.units.items():
            self._show_state(f"unit {name}", f"not {state}", state)

    def _show_state(self, what: str, before: str, after: str) -> None:
        self._diffs[what] = {
            "before": f"{before}\n",
            "after": f"{after}\n",
            "before_header": what,
            "after_header": what,
        }

    def _arm(self, stage: Stage, contents: dict[str, bytes]) -> None:
        risky = {f.control.id: f.control for f in stage.files} | {
            s.control.id: s.control for s in stage.steps
        }
        risky |= {owner.id: owner for _state, owner in stage.packages.values()}
        risky |= {owner.id: owner for _state, owner in stage.units.values()}
        risky = {k: v for k, v in risky.items() if v.disruption == _ACCESS}
        if not risky or not self.guard.seconds or self._guard is not None:
            return
        paths = {f.path for f in stage.files if f.control.id in risky} & set(contents)
        paths |= {path for s in stage.steps if s.control.id in risky for path in s.paths}
        reloads = {name for control_id in risky for name in stage.notified.get(control_id, ())}
        units = {name for name, (_state, owner) in stage.units.items() if owner.id in risky}
        guard = importlib.import_module(f"{__package__}._guard")
        try:
            armed = guard.arm(
                sorted(paths | _notify.guarded_paths(reloads)),
                timeout=self.guard.seconds,
                reason="controls " + ", ".join(sorted(risky)),
                nftables=False,
                reload=sorted(units | _notify.reloaded_units(reloads)),
                operator=self.guard.operator,
                guard_id=self.guard.id,
                sysctls=[key for s in stage.steps if s.control.id in risky for key in s.sysctls],
            )
            # Who shares a file with one of them is put back too.
            sharing = {f.control.id for f in stage.files if f.path in paths}
            self._guard = {**armed, "controls": sorted(sharing | set(risky))}
        except guard.GuardError as error:
            for control in risky.values():
                self._fail(stage, control, f"no guard, so nothing changed: {error}")

    def _fetch(self, stage: Stage) -> None:
        """Download before the guard's clock runs: a slow mirror must not undo a good change."""
        names = sorted(
            name for name, (state, _owner) in stage.packages.items() if state == "present"
        )
        if not names:
            return
        with suppress(HostError):  # the installation will say the same, to those whom it concerns
            if not _has_lists(self.host):
                _packages.refresh(self.host)
            _packages.fetch(self.host, names)

    def _note_reloads(self, stage: Stage) -> None:
        wanted = {
            name
            for control_id in stage.staged_controls()
            for name in stage.notified.get(control_id, ())
        }
        if not wanted:
            return
        self._pending |= wanted
        noted = sorted(self._pending | _left_pending(self.host))
        try:
            replace_file(self.host, _PENDING, json.dumps(noted).encode(), 0o600)
        except HostError as error:
            for change in list(stage.files):
                self._fail(stage, change.control, str(error))

    def _packages(self, stage: Stage, *, guarded: bool) -> None:
        wanted = {
            name: (state, owner)
            for name, (state, owner) in stage.packages.items()
            if (owner.disruption == _ACCESS) == guarded
        }
        present = {name: owner for name, (state, owner) in wanted.items() if state == "present"}
        absent = {name: owner for name, (state, owner) in wanted.items() if state == "absent"}
        if present:
            self._apt(stage, "install", present)
        if absent:
            self._apt(stage, "remove", absent)

    def _apt(self, stage: Stage, verb: str, wanted: dict[str, Control]) -> None:
        try:
            if verb == "install" and not _has_lists(self.host):
                _packages.refresh(self.host)
            self._refuse_side_effects(verb, sorted(wanted))
            _packages.unpack(self.host, verb, sorted(wanted))
        except HostError as error:
            for control in wanted.values():
                self._fail(stage, control, str(error))
            return
        self.packages_changed = True
        self.touched |= {control.id for control in wanted.values()}

    def _refuse_side_effects(self, verb: str, names: list[str]) -> None:
        """A removal must not take along what a site may stand on."""
        plan = _packages.simulated(self.host, verb, names)
        removed = {row.split()[1] for row in plan.splitlines() if row.startswith("Remv ")}
        extra = sorted(removed - set(names if verb == "remove" else ()))
        if extra:
            raise HostError(f"apt-get {verb} would also remove {', '.join(extra)}: left as it is")

    def _files(self, stage: Stage, contents: dict[str, bytes]) -> None:
        for path, data in contents.items():
            owners = {f.control.id: f.control for f in stage.files if f.path == path}
            mode = next((f.mode for f in stage.files if f.path == path), 0o644)
            try:
                if owners and self.host.read(path) != data:
                    replace_file(self.host, path, data, mode)
            except HostError as error:
                for control in owners.values():
                    self._fail(stage, control, str(error))
                continue
            self.touched |= set(owners)

    def _steps(self, stage: Stage) -> None:
        for step in list(stage.steps):
            if step.control.id in self.failures:
                continue
            try:
                step.act(self.host)
            except HostError as error:
                self._fail(stage, step.control, str(error))
                continue
            self.touched.add(step.control.id)

    def _units(self, stage: Stage) -> None:
        for state, verb in _UNIT_VERBS.items():
            wanted = {n: o for n, (s, o) in stage.units.items() if s == state}
            if not wanted:
                continue
            if state != "masked":
                self._systemctl("unmask", *sorted(wanted))
            if self._systemctl(verb, "--now", *sorted(wanted)) is None:
                self.touched |= {control.id for control in wanted.values()}
                continue
            # One bad unit fails the whole call: each on its own tells which.
            for name, control in sorted(wanted.items()):
                complaint = self._systemctl(verb, "--now", name)
                if complaint is None:
                    self.touched.add(control.id)
                else:
                    self._fail(stage, control, f"systemctl {verb} {name}: {complaint}")

    def _systemctl(self, *arguments: str) -> str | None:
        """What systemd had against it; None where it did it."""
        done = self.host.run(["systemctl", *arguments], timeout=120)
        return None if done.rc == 0 else done.complaint()

    def _fail(self, stage: Stage, control: Control, reason: str) -> None:
        self.failures[control.id] = reason
        stage.drop(control.id)


def _left_pending(host: Host) -> set[str]:
    """Reloads that an earlier run wrote down and did not get to; a torn note asks for all."""
    data = host.read(_PENDING)
    if data is None:
        return set()
    try:
        return {str(name) for name in json.loads(data)}
    except ValueError:
        return set(_notify.NAMES)


def _has_lists(host: Host) -> bool:
    return any(
        name.endswith("_Packages") or "_Packages." in name
        for name in host.names("/var/lib/apt/lists")
    )


def _as_text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
