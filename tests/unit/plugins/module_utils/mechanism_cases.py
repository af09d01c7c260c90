# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the cases of tests/fixtures/<mechanism>/<name>.{pass,fail}/ and stands a host up for each.

A case is a folder with `case.yml` and, where files are easier kept as files, a tree `root/`:

    control: {params: …, value: …, stricter: …, choices: …}
    files: {path: text}             links: {path: target}
    modes: {path: "0640"}           owners: {path: [uid, gid]}
    packages: {name: version}       commands: [{argv: …, out: …, rc: 0, err: ""}]
    read_only: [path]               capabilities: [name]
    expect:
      status: pass | fail | not_applicable | error
      message: a part of it
      files: {path: text afterwards}      packages, units: {name: state}
      notify: [name]      steps: how many live changes      plan_error: a part of it
      guarded: [path], what the guard must be able to put back of these changes
      enough: false, where what is planned cannot make it pass
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.ringfence.hosting.plugins.module_utils import _registry
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control, Stage
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Attributes,
    Completed,
    Host,
    HostError,
)

FIXTURES = Path(__file__).parents[3] / "fixtures"


class FixtureHost(Host):
    """A host below `root` whose commands are canned; one that is not canned is not installed."""

    def __init__(self, root: Path, case: dict[str, Any]) -> None:
        super().__init__(str(root))
        self._case = case
        self._answers = {
            tuple(row["argv"]): Completed(row.get("rc", 0), row.get("out", ""), row.get("err", ""))
            for row in case.get("commands", [])
        }
        packages = case.get("packages")
        if packages is not None:
            listing = "".join(f"installed {name} {packages[name]}\n" for name in packages)
            argv = ["dpkg-query", "-W", "-f"]
            argv.append("${db:Status-Status} ${binary:Package} ${Version}\n")
            self._answers[tuple(argv)] = Completed(0, listing, "")

    def run(self, argv: list[str], **_options: Any) -> Completed:  # type: ignore[override]
        if tuple(argv) not in self._answers:
            raise HostError(f"{argv[0]} is not installed")
        return self._answers[tuple(argv)]

    def attributes(self, path: str) -> Attributes | None:
        found = super().attributes(path)
        if found is None:
            return None
        uid, gid = self._case.get("owners", {}).get(path, (0, 0))
        return found._replace(uid=uid, gid=gid)

    def writable(self, path: str) -> bool:
        return path not in self._case.get("read_only", [])

    def capabilities(self) -> frozenset[str]:
        return frozenset(self._case.get("capabilities", ["own_kernel", "systemd"]))


@dataclass
class Outcome:
    """What a mechanism made of a host: verdict, and what it would stage."""

    status: str
    message: str
    files: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    notify: set[str] = field(default_factory=set)
    steps: int = 0
    guarded: set[str] = field(default_factory=set)
    plan_error: str = ""


def cases() -> list[Path]:
    """The folder of every case."""
    return sorted(path.parent for path in FIXTURES.glob("*/*/case.yml"))


def read_case(folder: Path) -> dict[str, Any]:
    """The case in a folder."""
    case: dict[str, Any] = yaml.safe_load((folder / "case.yml").read_text(encoding="utf-8"))
    return case


def make_host(folder: Path, case: dict[str, Any], root: Path) -> FixtureHost:
    """Builds the tree of a case below `root`, an empty folder, and returns the host on it."""
    if (folder / "root").is_dir():
        shutil.copytree(folder / "root", root, dirs_exist_ok=True, symlinks=True)
    for path, text in case.get("files", {}).items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            target.mkdir(exist_ok=True)
        else:
            target.write_text(text, encoding="utf-8")
    for path, target_path in case.get("links", {}).items():
        link = root / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target_path)
    for path, mode in case.get("modes", {}).items():
        (root / path.lstrip("/")).chmod(int(mode, 8))
    return FixtureHost(root, case)


def make_control(mechanism: str, case: dict[str, Any]) -> Control:
    """The control of a case."""
    spec = dict(case["control"])
    spec["choices"] = tuple(spec.get("choices", ()))
    return Control(id="it", mechanism=mechanism, **spec)


def outcome(host: Host, control: Control) -> Outcome:
    """Observe and judge; where it fails, plan too. Errors are told as the engine tells them."""
    mechanism = _registry.load(control.mechanism)
    try:
        if hasattr(mechanism, "prepare"):
            mechanism.prepare(host, [control])
        observation = mechanism.observe(host, control)
        verdict = mechanism.judge(control, observation)
    except HostError as error:
        return Outcome("error", str(error))
    found = Outcome(verdict.status, verdict.message)
    if verdict.status == "fail":
        _plan(host, control, observation, found)
    return found


def _plan(host: Host, control: Control, observation: Any, found: Outcome) -> None:
    stage = Stage(host)
    stage.begin(control)
    try:
        _registry.load(control.mechanism).plan(control, observation, stage)
    except HostError as error:
        found.plan_error = str(error)
        return
    for change in stage.files:
        before = found.files.get(change.path, host.text(change.path) or "")
        found.files[change.path] = change.edit(before)
    found.packages = {name: row[0] for name, row in stage.packages.items()}
    found.units = {name: row[0] for name, row in stage.units.items()}
    found.notify = stage.notified[control.id]
    found.steps = len(stage.steps)
    found.guarded = {path for step in stage.steps for path in step.paths}
