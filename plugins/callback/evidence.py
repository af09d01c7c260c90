# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows what controls found, and keeps it as evidence."""

from __future__ import annotations

DOCUMENTATION = r"""
name: evidence
type: notification
short_description: Shows what controls found, and keeps it as evidence
version_added: 0.1.0
author:
  - The Ringfence developers (@ringfence)
description:
  - Prints one line for each control that fails, changed or could not be checked, and a recap of
    counts for each host, beside the ordinary output.
  - Writes one run document, a JSON file, at the end of each playbook run in which
    M(ringfence.hosting.control_info) or M(ringfence.hosting.control_apply) was asked of any host.
    Hosts that were unreachable, failed or were never asked are in it, as such.
  - What actions of this collection judge of buckets, backups or access is in it under names of its
    own, such as C(s3://acme-backups).
  - Keeps what M(ringfence.hosting.access_info) and its like collected, as a document of its own; likewise the bans of
    M(ringfence.hosting.ban_info) where it looked back.
  - Puts the run into the evidence store where the Python package C(ringfence) is installed.
  - An interrupted run is written too, and marked as interrupted.
  - Never fails a run. What could not be written is said in one warning.
requirements:
  - to be listed in C(callbacks_enabled)
options:
  directory:
    description:
      - Folder of the evidence. Documents go to C(incoming/) below it, a copy of each catalogue of
        controls to C(catalogues/). It is made where it is missing, for its owner alone.
    type: path
    default: '{{CWD}}/evidence'
    env:
      - name: RINGFENCE_EVIDENCE_DIR
    ini:
      - section: ringfence
        key: evidence_dir
  store:
    description:
      - SQLAlchemy URL of the evidence store.
      - The default is the file C(ringfence.sqlite) in O(directory).
    type: str
    env:
      - name: RINGFENCE_EVIDENCE_STORE
    ini:
      - section: ringfence
        key: evidence_store
  signing_key:
    description:
      - SSH private key, or public key whose private half an agent holds, that signs each run put
        into the store. Without one, runs are chained but not signed.
    type: path
    env:
      - name: RINGFENCE_SIGNING_KEY
    ini:
      - section: ringfence
        key: signing_key
"""

import atexit
import gc
import getpass
import json
import os
import platform
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__ as ansible_core_version
from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    _access_collection,
    _ban_collection,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils._ingest import Ingester
from ansible_collections.ringfence.hosting.plugins.plugin_utils._run_document import (
    HostSummary,
    Recorder,
    RunDocumentError,
    write_atomically,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils._targets import ACTIONS as _TARGETS
from ansible_collections.ringfence.hosting.plugins.plugin_utils._targets import KEY as _TARGET_KEY
from ansible_collections.ringfence.hosting.plugins.plugin_utils._text import one_line, printable

_COLLECTION_ROOT = Path(__file__).resolve().parents[2]
_CONTROL_ACTIONS = {
    name
    for short in ("control_info", "control_apply", "package_update")
    for name in (short, f"ringfence.hosting.{short}")
}
_TARGET_ACTIONS = {name for short in _TARGETS for name in (short, f"ringfence.hosting.{short}")}
_INCLUDE_ACTIONS = {*constants._ACTION_INCLUDE_TASKS, *constants._ACTION_INCLUDE_ROLE}
_SHOWN = {
    "fail": ("FAILED", constants.COLOR_ERROR),
    "error": ("NOT CHECKED", constants.COLOR_ERROR),
    "changed": ("CHANGED", constants.COLOR_CHANGED),
}
_VALUE_WIDTH = 80
# Variables by which a playbook leaves out a part of the fleet.
_NARROWING = ("ringfence_hosts", "backup_clients")
_RECAP_ORDER = ("pass", "fail", "changed", "error", "waived", "manual", "not_applicable")


class _Play:
    """A play, the hosts it was meant for, and the control tasks of it that have started."""

    def __init__(self, play: Any) -> None:
        self.play = play
        self.started: set[str] = set()

    def targets(self) -> list[str]:
        inventory = self.play.get_variable_manager()._inventory
        # serial batches restrict the inventory: the play was meant for all of them
        hosts = inventory.get_hosts(self.play.hosts, ignore_restrictions=True)
        return [host.get_name() for host in hosts]

    def declared(self, asks: Callable[[Any], bool]) -> set[str]:
        """The tasks of the play, less those that tags leave out, for which `asks` holds."""
        tags: tuple[Any, Any, dict[str, Any]] = (self.play.only_tags, self.play.skip_tags, {})
        tasks = [task for block in self.play.compile() for task in _tasks(block)]
        return {
            task._uuid
            for task in tasks
            if asks(task) and not task.run_once and task.evaluate_tags(*tags)
        }

    def due(self, included: set[str]) -> set[str]:
        """The control tasks that each host of the play was to answer, as far as can be told.

        An include that never ran might have brought any number of them.
        """
        includes = self.declared(lambda task: _action(task) in _INCLUDE_ACTIONS)
        return self.started | self.declared(_asks_controls) | (includes - included)


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The callback `ringfence.hosting.evidence`."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "ringfence.hosting.evidence"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pid = os.getpid()
        self._catalogue: Any = None
        self._ingester: Ingester | None = None
        self._chosen: list[str] = []
        self._begin("")
        # an interrupted run sends no statistics, but what it did must not go unrecorded
        atexit.register(self._finish_interrupted)

    def _begin(self, playbook: str) -> None:
        self._playbook = playbook
        self._recorder = Recorder()
        self._plays: list[_Play] = []
        self._included: set[str] = set()
        self._collection = _access_collection.Collection()
        self._bans = _ban_collection.BanCollection()
        self._asked = False

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Start a run document: each playbook of a command is a run of its own."""
        self._begin(one_line(Path(playbook._file_name or "").name))

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Remember the play; a serial one starts once a batch."""
        if not self._plays or self._plays[-1].play._uuid != play._uuid:
            self._plays.append(_Play(play))
        self._chosen = _chosen(play.get_variable_manager().extra_vars)

    def v2_playbook_on_task_start(self, task: Any, **_is_conditional: bool) -> None:
        """Load the catalogue before the first control task, so that all workers inherit it."""
        collection = self._collection_of(task)
        if collection is not None and self._plays:
            collection.expect(self._plays[-1].targets())
            self._guarded(self._begin_ingest)
        if not _asks_controls(task) and not _asks_targets(task):
            return
        if self._plays and _asks_controls(task):
            self._plays[-1].started.add(task._uuid)
        if not self._asked:
            self._asked = True
            self._guarded(self._prepare)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Handlers may ask controls too."""
        self.v2_playbook_on_task_start(task)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """What an include brought shows as it runs; it is no longer unknown."""
        self._included.add(included_file._task._uuid)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Take in the result of a control task."""
        if _asks_controls(result.task):
            self._guarded(self._take, result, False)
        elif _asks_targets(result.task):
            self._guarded(self._take_targets, result, False)
        elif self._collection_of(result.task) is not None:
            self._guarded(self._take_collected, result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Take in a failed control task; of any other, that the host's play ended there."""
        if _asks_controls(result.task):
            self._guarded(self._take, result, True)
        elif _asks_targets(result.task):
            self._guarded(self._take_targets, result, True)
        elif self._collection_of(result.task) is not None:
            self._guarded(self._take_collected, result)
        if not ignore_errors:
            where = one_line(result.task.get_name())
            self._recorder.stop(
                result.host.get_name(), "error", f"the run stopped at the task '{where}'"
            )

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note that a host could not be reached."""
        reason = one_line(_last_line(result.result.get("msg")), 400)
        collection = self._collection_of(result.task)
        if collection is not None:
            name = result.host.get_name()
            collection.trouble(name, "unreachable", reason or "unreachable")
        asks = _asks_controls(result.task) or _asks_targets(result.task)
        note = self._recorder.trouble if asks else self._recorder.stop
        note(result.host.get_name(), "unreachable", reason or "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Note that a condition kept the controls from a host."""
        if self._collection_of(result.task) is self._collection:
            self._collection.skipped(result.host.get_name())
        if _asks_controls(result.task):
            self._recorder.skipped(result.host.get_name(), result.task._uuid)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the recap and write the run document."""
        for name in self._recorder.stopped():
            if name not in stats.failures and name not in stats.dark:
                self._recorder.resume(name)
        self._guarded(self._finish, False)

    def _guarded(self, work: Any, *args: Any) -> None:
        """Evidence is a bystander: whatever goes wrong here, the run goes on."""
        try:
            work(*args)
        except Exception as error:
            self._warn(f"{type(error).__name__}: {error}")

    def _warn(self, message: str) -> None:
        self._display.warning(f"Evidence: {one_line(message, 600)}")

    def _begin_ingest(self) -> None:
        if self._ingester is None and Ingester.available():
            self._ingester = Ingester()

    def _prepare(self) -> None:
        self._begin_ingest()
        # here and not above: a playbook without controls must not pay for it
        from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue

        self._catalogue = catalogue.load()
        # What is there now stays to the end: no worker need search it for what it could free, nor
        # copy the memory in which a search takes its notes.
        gc.freeze()

    def _take(self, result: Any, failed: bool) -> None:
        name = result.host.get_name()
        outcome = result.result
        for item in outcome.get("results") or [outcome]:
            if "controls" not in item:
                self._recorder.trouble(name, "error", _reason(item, failed))
                continue
            try:
                self._recorder.add(name, result.task._uuid, item)
            except RunDocumentError as error:
                self._recorder.trouble(name, "error", str(error))
                self._warn(f"{one_line(name)}: {error}")
                continue
            self._show(name, item, failed and result.task.diff)

    def _collection_of(self, task: Any) -> _access_collection.Collection | None:
        """What takes in the results of a task that collects."""
        if _access_collection.collects(_action(task)):
            return self._collection
        return self._bans if _ban_collection.collects(_action(task)) else None

    def _take_collected(self, result: Any) -> None:
        """Accesses or bans that were found; where there is none to tell of, why not."""
        name = result.host.get_name()
        collection = self._collection_of(result.task)
        if collection is None:
            return
        key = _ban_collection.KEY if collection is self._bans else _access_collection.KEY
        for item in result.result.get("results") or [result.result]:
            if key not in item:
                collection.trouble(name, "error", _reason(item, True))
                continue
            try:
                collection.add(name, item)
            except _access_collection.RowError as error:
                collection.trouble(name, "error", str(error))
                self._warn(f"{one_line(name)}: {error}")

    def _take_targets(self, result: Any, failed: bool) -> None:
        """Rows of what is no server; a task that brought none is trouble under its own name."""
        for item in result.result.get("results") or [result.result]:
            rows = item.get(_TARGET_KEY)
            if not isinstance(rows, list):
                short = _action(result.task).rpartition(".")[2]
                name = f"{short} on {result.host.get_name()}"
                self._recorder.trouble(name, "error", _reason(item, failed))
                continue
            for row in rows:
                self._take_target(row, result.task._uuid)

    def _take_target(self, row: dict[str, Any], task: str) -> None:
        name = one_line(row["name"])
        if row["state"] != "ok":
            self._recorder.trouble(name, row["state"], one_line(row["message"], 400), row["host"])
            return
        try:
            self._recorder.add(name, task, row)
        except RunDocumentError as error:
            self._recorder.trouble(name, "error", str(error), row.get("host"))
            self._warn(f"{name}: {error}")
            return
        self._show(name, row, False)

    def _show(self, name: str, result: dict[str, Any], with_diff: bool) -> None:
        trial = result.get("mode") == "check"
        outside = set(result.get("not_demanded") or ())
        for control in result["controls"]:
            if control["status"] not in _SHOWN or control["id"] in outside:
                continue
            label, colour = _SHOWN[control["status"]]
            if trial and control["status"] == "changed":
                label = "WOULD CHANGE"
            title = self._title(control["id"])
            seen = _seen(control, trial)
            text = f"  {one_line(name)}  {label:12}  {control['id']}{title}: {seen}"
            self._display.display(text, color=colour)
        if with_diff and result.get("diff"):  # core shows no diff of a failed task
            diff = result["diff"] if isinstance(result["diff"], list) else [result["diff"]]
            cleaned = [{k: _clean_diff(v) for k, v in part.items()} for part in diff]
            self._display.display(self._get_diff(cleaned))

    def _title(self, control_id: str) -> str:
        controls = self._catalogue.controls if self._catalogue else {}
        title = one_line(controls.get(control_id, {}).get("title"))
        return f" — {title}" if title else ""

    def _finish_interrupted(self) -> None:
        if os.getpid() == self._pid:
            self._guarded(self._finish, True)

    def _finish(self, interrupted: bool) -> None:
        recorder, plays, included = self._recorder, self._plays, self._included
        collections = [one for one in (self._collection, self._bans) if one.known()]
        self._begin(self._playbook)
        for collection in collections:
            alone = not recorder.known() and not any(play.started for play in plays)
            alone = alone and collection is collections[-1]
            self._guarded(self._write_collection, collection, interrupted, alone)
        doubtful = interrupted or bool(recorder.stopped())
        concerned = [play for play in plays if _concerned(play, doubtful)]
        if not concerned and not recorder.known():
            return
        for play in concerned:
            recorder.target(play.targets())
        recorder.settle(_needed(concerned, included, doubtful))
        trial = "check" in (recorder.mode(), _run_mode())
        self._guarded(self._recap, recorder.summaries(), trial)
        self._guarded(self._write, recorder, interrupted)

    def _recap(self, summaries: list[HostSummary], trial: bool) -> None:
        self._display.banner("CONTROLS")
        width = max((len(summary.name) for summary in summaries), default=0)
        for summary in summaries:
            self._display.display(*_recap_line(summary, width))
        total: Counter[str] = Counter()
        for summary in summaries:
            total.update(summary.counts)
        good = total["pass"] + (0 if trial else total["changed"])
        checked = total["pass"] + total["fail"] + total["changed"] + total["waived"]
        unsure = total["error"] + total["manual"]
        partial = sum(summary.state != "ok" for summary in summaries)
        line = f"{good} of {checked} checked controls pass"
        if total["changed"]:
            line += f", {total['changed']} {'would change' if trial else 'changed in this run'}"
        line += f", {unsure} could not be checked" if unsure else ""
        if partial:
            line += f"; {partial} of {len(summaries)} hosts not or only partly checked"
        colour = constants.COLOR_OK if good == checked and not partial else None
        self._display.display(f"{line}.", color=colour)

    def _write(self, recorder: Recorder, interrupted: bool) -> None:
        directory = Path(self.get_option("directory"))
        path = directory / "incoming" / f"{recorder.id}.json"
        if self._catalogue and not recorder.catalogue_sha256:
            recorder.catalogue_sha256 = self._catalogue.sha256
        try:
            self._keep_catalogue(directory / "catalogues")
            write_atomically(path, recorder.encode(self._run(interrupted)))
        except OSError as error:
            self._warn(
                f"this run is NOT recorded: {error.filename or path}: "
                f"{error.strerror}; expected a folder that can be written to"
            )
            return
        self._hand_over(path)

    def _write_collection(
        self, collection: _access_collection.Collection, interrupted: bool, alone: bool
    ) -> None:
        """Beside the run document, with which it goes into the store; else by itself."""
        path = Path(self.get_option("directory")) / "incoming" / f"{collection.id}.json"
        try:
            write_atomically(path, collection.encode(self._run(interrupted)))
        except OSError as error:
            self._warn(f"the collection is NOT recorded: {error.filename}: {error.strerror}")
            return
        if alone:
            self._hand_over(path)

    def _keep_catalogue(self, directory: Path) -> None:
        if not self._catalogue:
            return
        path = directory / f"{self._catalogue.sha256}.json"
        if not path.exists():
            copy = {
                "sha256": self._catalogue.sha256,
                "controls": self._catalogue.controls,
                "benchmarks": self._catalogue.benchmarks,
            }
            write_atomically(path, json.dumps(copy, sort_keys=True, default=str))

    def _hand_over(self, path: Path) -> None:
        if not self._ingester:
            self._display.display(
                f"Evidence: {path} (the Python package ringfence is not installed here, so it is "
                "not in the evidence store)"
            )
            return
        ingester, self._ingester = self._ingester, None
        ok, message = ingester.ingest(
            path, self.get_option("store"), self.get_option("signing_key")
        )
        if ok:
            self._display.display(f"Evidence: {one_line(message, 400)}")
        else:
            self._warn(f"{path} is written, but not in the store: {message}")

    def _run(self, interrupted: bool) -> dict[str, Any]:
        run: dict[str, Any] = {
            "playbook": self._playbook,
            "operator": os.environ.get("SUDO_USER") or getpass.getuser(),
            "controller": platform.node(),
            "limit": " ".join(filter(None, [context.CLIARGS.get("subset"), *self._chosen])) or None,
            "ansible_core": ansible_core_version,
            "ringfence": _collection_version(),
        }
        if _run_mode():
            run["mode"] = _run_mode()
        if interrupted:
            run["interrupted"] = True
        if os.environ.get("RINGFENCE_RUN_REASON"):
            run["reason"] = one_line(os.environ["RINGFENCE_RUN_REASON"])
        return run


def _chosen(variables: Mapping[str, Any]) -> list[str]:
    """What else than --limit kept a run from a part of the fleet: variables of the command line."""
    found = []
    for name in _NARROWING:
        value = variables.get(name)
        if value:
            words = value if isinstance(value, list) else [value]
            found.append(f"{name}={one_line(','.join(map(str, words)), 200)}")
    return found


def _run_mode() -> str | None:
    """check where the whole command is a trial; else it is for the tasks to say."""
    return "check" if context.CLIARGS.get("check") else None


def _concerned(play: _Play, doubtful: bool) -> bool:
    """Whether the play asked controls, or would have, had it not ended early."""
    return bool(play.started or (doubtful and play.declared(_asks_controls)))


def _needed(plays: list[_Play], included: set[str], doubtful: bool) -> dict[str, set[str]]:
    """By host, the control tasks that it was to answer. Plays that went well need no search."""
    needed: dict[str, set[str]] = {}
    for play in plays:
        due = play.due(included) if doubtful else set()
        for name in play.targets():
            needed.setdefault(name, set()).update(due)
    return needed


def _tasks(block: Any) -> list[Any]:
    """The tasks of a block that run when all goes well, nested ones too."""
    found: list[Any] = []
    for entry in [*block.block, *block.always]:
        found.extend(_tasks(entry) if hasattr(entry, "block") else [entry])
    return found


def _action(task: Any) -> str:
    return str(getattr(task, "resolved_action", None) or task.action)


def _asks_controls(task: Any) -> bool:
    return _action(task) in _CONTROL_ACTIONS


def _asks_targets(task: Any) -> bool:
    return _action(task) in _TARGET_ACTIONS


def _reason(result: dict[str, Any], failed: bool) -> str:
    text = one_line(result.get("msg"), 400)
    return text or ("the task failed without a message" if failed else "the task gave no controls")


def _last_line(said: Any) -> str:
    """ssh's own word: before it stands the notice that a host shows to whoever signs in."""
    lines = [line for line in str(said or "").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _seen(control: dict[str, Any], trial: bool) -> str:
    """What was expected and what was seen, as one line; of what was changed, what it is now."""
    if control["status"] == "changed" and not trial:
        value = control.get("observed") or control.get("expected")
        now = f"now {one_line(value, _VALUE_WIDTH)}"
        message = one_line(control.get("message"))
        return f"{now} ({message})" if message else now
    parts = [
        f"{word} {one_line(control[key], _VALUE_WIDTH) or 'nothing'}"
        for word, key in (("expected", "expected"), ("seen", "observed"))
        if control.get(key) is not None
    ]
    said = ", ".join(parts)
    message = one_line(control.get("message"))
    return f"{said} ({message})" if said and message else said or message or "no details"


def _clean_diff(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def _recap_line(summary: HostSummary, width: int) -> tuple[str, str | None]:
    name = f"{one_line(summary.name):{width}}"
    counts = "  ".join(
        f"{status}={summary.counts[status]}"
        for status in _RECAP_ORDER
        if summary.counts[status] or (status in ("pass", "fail") and summary.counts)
    )
    if summary.state == "ok":
        bad = summary.counts["fail"] + summary.counts["error"]
        return f"{name} : {counts}", constants.COLOR_ERROR if bad else constants.COLOR_OK
    state = summary.state.replace("_", " ").upper()
    return (
        f"{name} : {state}: {one_line(summary.message)}{'  so far: ' if counts else ''}{counts}",
        constants.COLOR_UNREACHABLE,
    )


def _collection_version() -> str:
    for name, pattern in (
        ("MANIFEST.json", r'"version":\s*"([^"]+)"'),
        ("galaxy.yml", r"(?m)^version:\s*(\S+)"),
    ):
        path = _COLLECTION_ROOT / name
        if path.is_file() and (found := re.search(pattern, path.read_text(encoding="utf-8"))):
            return found[1]
    return "unknown"
