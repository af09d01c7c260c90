# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the module site_config: from a feature's files, by path, to one payload."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_SITE_KEYS = ("client", "id", "domains", "root", "web_server")
_FILE_KEYS = ("text", "src", "mode", "group")
# Longer texts go as files: a module's arguments are copied several times on their way.
_LONG = 200_000


class Wanted(NamedTuple):
    """What a feature wants on a host: path -> a text, or {text or src, mode, group}."""

    feature: str
    files: Mapping[str, Any]
    apache_modules: list[str]


def run(
    action: ActionBase,
    wanted: Wanted,
    sites: Iterable[Mapping[str, Any]],
    task_vars: dict[str, Any],
    refused: Mapping[str, str] | None = None,
    module: str = "site_config",
) -> dict[str, Any]:
    """The result of site_config, or of another module with its payload, on the host of `action`.

    `refused`: client__site -> why the files of that site are to be left as they are.
    """
    rows = {str(path): _row(str(path), given) for path, given in wanted.files.items()}
    files = {path: _sent(action, row, n) for n, (path, row) in enumerate(sorted(rows.items()))}
    payload = {
        "feature": wanted.feature,
        "files": files,
        "apache_modules": wanted.apache_modules,
        "refused": dict(refused or {}),
        "sites": [{key: site[key] for key in _SITE_KEYS if key in site} for site in sites],
    }
    result: dict[str, Any] = action._execute_module(
        module_name=f"ringfence.hosting.{module}",
        module_args={"payload": json.dumps(payload, separators=(",", ":"))},
        task_vars=task_vars,
    )
    return result


def sites_of(action: ActionBase, task_vars: dict[str, Any]) -> list[dict[str, Any]]:
    """The sites that a task names, else those of its host."""
    sites: list[dict[str, Any]] | None = action._task.args.get("sites")
    if sites is None:
        sites = action._templar.template(task_vars.get("ringfence_sites", []))
    return sites or []


def _row(path: str, given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        return {"text": given}
    if not isinstance(given, Mapping) or ("text" in given) == ("src" in given):
        raise AnsibleActionFail(f"{path}: expected a text, or a mapping with text or src")
    strange = sorted(set(given) - set(_FILE_KEYS))
    if strange:
        raise AnsibleActionFail(
            f"{path}: found {strange[0]}, expected one of {', '.join(_FILE_KEYS)}"
        )
    return dict(given)


def _sent(action: ActionBase, row: dict[str, Any], number: int) -> dict[str, Any]:
    """`row` as the module reads it; a long text is sent as a file of its own."""
    kept: dict[str, Any] = {key: row[key] for key in ("mode", "group") if key in row}
    text = str(row["text"]) if "text" in row else _read(str(row["src"]))
    if len(text) <= _LONG:
        return {"text": text, **kept}
    staged = action._transfer_data(
        action._connection._shell.join_path(_folder(action), f"site_file_{number}"), text
    )
    return {"staged": staged, **kept}


def _folder(action: ActionBase) -> str:
    if action._connection._shell.tmpdir is None:
        action._make_tmp_path()
    return str(action._connection._shell.tmpdir)


def _read(source: str) -> str:
    try:
        return Path(source).read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise AnsibleActionFail(f"{source} cannot be read: {error.strerror}") from error
