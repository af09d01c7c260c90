# SPDX-License-Identifier: GPL-3.0-or-later
"""Real runs of ansible-playbook in which the two control modules give canned replies.

Everything but the replies is the real thing: the collection's plugins, found by their full names,
ansible's own strategies, forks and output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.evidence import Store

ROOT = Path(__file__).parents[4]
SHA = "c" * 64

CANNED_ACTION = """
from __future__ import annotations
import json
from pathlib import Path
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

REPLIES = Path(__file__).parents[5] / "replies.json"


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        replies = json.loads(REPLIES.read_text())
        host = task_vars["inventory_hostname"]
        key = self._task.args.get("reply", "first")
        reply = replies.get(f"{host}/{key}", replies.get(f"*/{key}"))
        if "unreachable" in reply:
            raise AnsibleConnectionFailure(reply["unreachable"])
        return reply
"""

CATALOGUE = """
from __future__ import annotations
import os
from types import SimpleNamespace

if os.environ.get("CATALOGUE_LOG"):
    with open(os.environ["CATALOGUE_LOG"], "a") as log:
        log.write(f"imported {os.getpid()}\\n")


def load(root=None):
    if os.environ.get("CATALOGUE_LOG"):
        with open(os.environ["CATALOGUE_LOG"], "a") as log:
            log.write(f"loaded {os.getpid()}\\n")
    return SimpleNamespace(
        sha256="SHA",
        controls={
            "ssh_root_login": {"title": "SSH refuses direct root login", "severity": "high"},
            "kernel_ptrace": {"title": "Only a parent may trace a process", "severity": "medium"},
        },
        benchmarks={},
    )
""".replace("SHA", SHA)


def reply(
    controls: list[dict[str, Any]] | None = None,
    ok: list[str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A result as the control modules give it."""
    ok = ["kernel_ptrace"] if ok is None else ok
    controls = controls or []
    values = {control["id"]: control.get("expected", "no") for control in controls}
    return {
        "changed": any(control["status"] == "changed" for control in controls),
        "counts": {"pass": len(ok)},
        "controls": controls,
        "ok_ids": ok,
        "values": {**values, **dict.fromkeys(ok, 2)},
        "host": {"hostname": "web", "distribution": "debian", "release": "12", "kernel": "6.1"},
        "timing_ms": {"total": 4.0},
        "mode": "audit",
        "catalogue_sha256": SHA,
        **more,
    }


def finding(status: str = "fail", **more: Any) -> dict[str, Any]:
    """A control that is not plainly a pass."""
    defaults = {
        "id": "ssh_root_login",
        "status": status,
        "expected": "no",
        "observed": "yes",
        "message": "sshd -T says permitrootlogin yes",
    }
    return {**defaults, **more}


@dataclass
class Run:
    """What a run left behind."""

    code: int
    output: str
    documents: list[dict[str, Any]]
    evidence: Path

    @property
    def document(self) -> dict[str, Any]:
        """The one run document."""
        assert len(self.documents) == 1, self.output
        return self.documents[0]

    def host(self, name: str) -> dict[str, Any]:
        """What the document says of a host."""
        return next(host for host in self.document["hosts"] if host["name"] == name)


@dataclass
class Controller:
    """A folder with a collection, to run playbooks in."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a run needs."""
        return {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder),
            "ANSIBLE_CALLBACKS_ENABLED": "ringfence.hosting.evidence",
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_FORKS": "2",
            "ANSIBLE_NOCOLOR": "1",
            "COLUMNS": "200",
            "RINGFENCE_EVIDENCE_DIR": str(self.folder / "evidence"),
        }

    def command(self, play: Any, replies: dict[str, Any], hosts: list[str]) -> list[str]:
        """Write the files of a run; return the command."""
        (self.folder / "replies.json").write_text(json.dumps(replies))
        plays = play if isinstance(play[0], dict) and "hosts" in play[0] else [_play(play)]
        (self.folder / "audit.yml").write_text(yaml.safe_dump(plays))
        local = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
        inventory = "[all]\n" + "".join(f"{host} {local}\n" for host in hosts)
        (self.folder / "hosts.ini").write_text(inventory)
        ansible = str(Path(sys.executable).with_name("ansible-playbook"))
        return [ansible, "-i", "hosts.ini", "audit.yml"]

    def run(
        self,
        play: Any,
        replies: dict[str, Any],
        hosts: list[str] | None = None,
        arguments: list[str] | None = None,
        env: dict[str, str] | None = None,
    ) -> Run:
        """Run a play (a list of tasks, or of plays) to its end."""
        command = self.command(play, replies, hosts or ["web1"])
        done = subprocess.run(
            [*command, *(arguments or [])],
            cwd=self.folder,
            env={**self.environment, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=120,
        )
        return self.result(done.returncode, done.stdout.decode("utf-8", "surrogateescape"))

    def result(self, code: int, output: str) -> Run:
        """What lies in the evidence folder now."""
        evidence = self.folder / "evidence"
        documents = [json.loads(path.read_text()) for path in evidence.glob("incoming/*.json")]
        if (evidence / "ringfence.sqlite").exists():
            store = Store(Store.url_in(evidence))
            documents += [store.run(run.id) for run in store.runs()]
        return Run(code, output, documents, evidence)


def _play(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    return {"hosts": "all", "gather_facts": False, "tasks": tasks}


def ask(key: str = "first", module: str = "control_info", **more: Any) -> dict[str, Any]:
    """A task that asks controls and gets the canned reply `key`."""
    return {"name": f"Ask {key}", f"ringfence.hosting.{module}": {"reply": key}, **more}


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    """A controller as an operator has it, with the Python package installed."""
    folder = tmp_path / "controller"
    plugins = folder / "ansible_collections/ringfence/hosting/plugins"
    for name in ("action", "modules", "module_utils", "plugin_utils"):
        (plugins / name).mkdir(parents=True)
    row = "module_utils/_access_row.py"
    (plugins / row).symlink_to(ROOT / "plugins" / row)
    (plugins / "callback").symlink_to(ROOT / "plugins/callback")
    actions = 'KEY = "ringfence_targets"\nACTIONS = {"bucket_info"}\n'
    (plugins / "plugin_utils/_targets.py").write_text(actions)
    names = ("_text.py", "_run_document.py", "_ingest.py", "_access_collection.py")
    for name in (*names, "_ban_collection.py"):
        (plugins / "plugin_utils" / name).symlink_to(ROOT / "plugins/plugin_utils" / name)
    (plugins / "plugin_utils/catalogue.py").write_text(CATALOGUE)
    for name in ("control_info", "control_apply", "bucket_info", "access_info", "ban_info"):
        (plugins / f"action/{name}.py").write_text(CANNED_ACTION)
        (plugins / f"modules/{name}.py").write_text("#!/usr/bin/python\n")
    (folder / "ansible.cfg").write_text("[defaults]\n")
    return Controller(folder)
