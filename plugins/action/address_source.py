# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.urls import open_url
from ansible.plugins.action import ActionBase
from ansible_collections.ringfence.hosting.plugins.plugin_utils import address_sources

_SECONDS = 120


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fetches a list on the controller, checks it, and keeps it; asks no host anything."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Whether the list is another than before, its date, checksum and length."""
        super().run(tmp, task_vars or {})
        given = self._task.args
        name = str(given.get("name", ""))
        try:
            data, said = _got(given)
            expected = given.get("sha256")
            kept = address_sources.checked(name, data, said, expected)
            folder = Path(str(given["folder"])).expanduser()
            days = given.get("max_age_days") or address_sources.max_age(name)
            result = address_sources.keep(folder, kept, int(days), write=not self._task.check_mode)
        except (address_sources.SourceError, OSError, KeyError) as error:
            raise AnsibleActionFail(f"{name}: {error}") from None
        return result


def _got(given: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The bytes of the source, and what is to be remembered of where they came from."""
    chosen = [key for key in ("url", "src", "npm") if given.get(key)]
    if len(chosen) != 1:
        raise address_sources.SourceError("expected one of url, src and npm")
    where = str(given[chosen[0]])
    if chosen == ["url"]:
        if not where.startswith("https://"):
            raise address_sources.SourceError(f"found {where}, expected https://")
        return open_url(where, timeout=_SECONDS).read(), {"source": where}
    if chosen == ["src"]:
        return Path(where).expanduser().read_bytes(), {"source": where}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["npm", "pack", where, "--silent", "--pack-destination", folder],
            capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
        found = sorted(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(found) != 1:
            why = next((x for x in done.stderr.splitlines() if x.strip()), "no word why")
            raise address_sources.SourceError(f"npm pack {where}: {why}")
        return found[0].read_bytes(), {"source": f"npm {found[0].name.removesuffix('.tgz')}"}
