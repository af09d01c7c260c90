# SPDX-License-Identifier: GPL-3.0-or-later
"""The same settings as ordinary tasks of ansible.builtin: what a role without Ringfence would hold.

One task for each thing that is set, the shortest way that is still right and idempotent; where one
module call can do several (a list of packages), it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_Task = dict[str, Any]


def knows(control: dict[str, Any]) -> bool:
    """Whether ordinary tasks set what this control does; many look at what no task sets."""
    return control.get("mechanism") in MAKERS


def playbook(controls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A play whose tasks set what `controls` (catalogue declarations) say, where tasks can."""
    tasks = [task for control in controls if knows(control) for task in _tasks(control)]
    return [
        {
            "name": "Ordinary tasks",
            "hosts": "all",
            "gather_facts": False,
            "become": True,
            "tasks": tasks,
        }
    ]


def _tasks(control: dict[str, Any]) -> Iterator[_Task]:
    make = MAKERS[control["mechanism"]]
    for number, task in enumerate(make(control["params"], control["value"]["default"])):
        yield {"name": f"{control['id']} {number}", **task}


def _line(path: str, regexp: str, line: str, **more: Any) -> _Task:
    return {"ansible.builtin.lineinfile": {"path": path, "regexp": regexp, "line": line, **more}}


def _sysctl(params: dict[str, Any], value: Any) -> Iterator[_Task]:
    for key in params["keys"]:
        path = "/etc/sysctl.d/90-ordinary.conf"
        yield _line(path, f"^{key} *=", f"{key} = {value}", create=True, mode="0644")


def _sshd_option(params: dict[str, Any], value: Any) -> Iterator[_Task]:
    option = params["option"]
    text = ",".join(value) if isinstance(value, list) else value
    path = "/etc/ssh/sshd_config.d/90-ordinary.conf"
    yield _line(
        path, f"^{option} ", f"{option} {text}", create=True, mode="0600", validate="sshd -t -f %s"
    )


def _file_mode(params: dict[str, Any], value: Any) -> Iterator[_Task]:
    for path in params["paths"]:
        task: _Task = {"ansible.builtin.file": {"path": path, "mode": f"{value}"}}
        if "*" in path:
            task = {"ansible.builtin.shell": f"chmod -c {value} {path}", "changed_when": False}
        yield {**task, "failed_when": False}


def _package(params: dict[str, Any], value: Any) -> Iterator[_Task]:
    names = params["names"][:1] if params.get("any") else params["names"]
    yield {"ansible.builtin.apt": {"name": names, "state": value}}


def _service(params: dict[str, Any], value: Any) -> Iterator[_Task]:
    settings = {"name": params["unit"], "enabled": value == "enabled", "masked": value == "masked"}
    yield {"ansible.builtin.systemd_service": settings, "failed_when": False, "changed_when": False}


def _kernel_module(params: dict[str, Any], _value: Any) -> Iterator[_Task]:
    path = "/etc/modprobe.d/ordinary.conf"
    for module in params["modules"]:
        line = f"install {module} /bin/false"
        yield _line(path, f"^install {module} ", line, create=True, mode="0644")


def _login_defs(params: dict[str, Any], value: Any) -> Iterator[_Task]:
    yield _line("/etc/login.defs", f"^{params['key']}\\s", f"{params['key']} {value}")


def _pam(params: dict[str, Any], value: Any) -> Iterator[_Task]:
    path, option = f"/etc/security/ordinary-{params['module']}.conf", params["option"]
    yield _line(path, f"^{option} *=", f"{option} = {value}", create=True, mode="0644")


def _mount_option(params: dict[str, Any], _value: Any) -> Iterator[_Task]:
    command = f"findmnt -no OPTIONS {params['path']}"
    yield {
        "ansible.builtin.command": command,
        "changed_when": False,
        "failed_when": False,
    }


def _account(_params: dict[str, Any], _value: Any) -> Iterator[_Task]:
    yield {"ansible.builtin.getent": {"database": "passwd"}}


def _apt_option(params: dict[str, Any], value: Any) -> Iterator[_Task]:
    path, option = "/etc/apt/apt.conf.d/99ordinary", params["option"]
    yield _line(path, f"^{option} ", f'{option} "{value}";', create=True, mode="0644")


MAKERS = {
    "account": _account,
    "apt_option": _apt_option,
    "file_mode": _file_mode,
    "kernel_module": _kernel_module,
    "login_defs": _login_defs,
    "mount_option": _mount_option,
    "package": _package,
    "pam": _pam,
    "service": _service,
    "sshd_option": _sshd_option,
    "sysctl": _sysctl,
}
