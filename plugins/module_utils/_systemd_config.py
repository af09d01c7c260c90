# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configuration of systemd's own daemons: what is in force of a file and all its drop-ins."""

from __future__ import annotations

from ansible_collections.ringfence.hosting.plugins.module_utils._control import Edit
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

JOURNALD = "systemd/journald.conf"
# Last in order on purpose: the last assignment wins, wherever its drop-in lies.
_DROP_IN = "zz-ringfence.conf"
_HEADER = "# Written by Ringfence; changes made here are lost.\n"


def in_force(host: Host, file: str, section: str) -> dict[str, str]:
    """Option -> value in a section of `file` (systemd/journald.conf); one look a file and run.

    Raises HostError where systemd cannot say.
    """
    argv = ["systemd-analyze", "cat-config", file]
    text = host.once(f"cat-config {file}", lambda: host.output(argv))
    return _assignments(text, section)


def drop_in(file: str) -> str:
    """The path of our drop-in for `file`."""
    return f"/etc/{file}.d/{_DROP_IN}"


def with_option(section: str, option: str, value: str) -> Edit:
    """An edit for our drop-in: `option` once with its new value, the other options kept."""

    def edit(text: str) -> str:
        kept = {**_assignments(text, section), option: value}
        lines = "".join(f"{name}={kept[name]}\n" for name in sorted(kept))
        return f"{_HEADER}[{section}]\n{lines}"

    return edit


def _assignments(text: str, section: str) -> dict[str, str]:
    found: dict[str, str] = {}
    current = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            current = line[1:-1]
        elif current == section and "=" in line and line[0] not in "#;":
            name, _equals, value = line.partition("=")
            found[name.strip()] = value.strip()
    return found
