# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence schedule`: systemd units by which the controller does what must not be forgotten."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from ringfence import collection
from ringfence.cli import _output as out
from ringfence.cli._context import Context
from ringfence.cli._options import Target
from ringfence.errors import BadInputError
from ringfence.results import CLEAN

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_STATE = "ringfence-controller"
# A unit has its own of these (PrivateTmp).
_HIDDEN = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - nothing is put there
_HEADER = "# Written by `ringfence schedule`.\n"


@dataclass(frozen=True)
class Wish:
    """When each is to run, as systemd.time(7) says it; by which user; where the units are put."""

    drill: str
    prune: str
    backups: str
    user: str = ""
    folder: Path | None = None


@dataclass(frozen=True)
class Place:
    """What the units name: all paths are absolute."""

    program: Path
    checkout: Path
    evidence: Path
    user: str
    inventory: tuple[str, ...] = ()
    vault_password_files: tuple[str, ...] = ()


# Command -> what it does and after how many seconds at most it begins, at random.
_JOBS: Mapping[str, tuple[str, int]] = {
    "backups": ("Judges the backups of all sites", 900),
    "drill": ("Restores the newest backup of every site, and proves it", 3600),
    "prune": ("Removes the backups that are no longer kept", 1800),
}


def schedule(target: Target, wish: Wish, as_json: bool) -> int:
    """Show the units, or write them below a folder once systemd finds no fault with them."""
    context = Context(target)
    user = wish.user or getpass.getuser()
    if not _USER.fullmatch(user):
        raise BadInputError(f"--user: found {user!r}, expected the name of an account")
    if not context.evidence_dir.is_dir():
        expected = "expected the folder of the evidence; `ringfence backups` makes it"
        raise BadInputError(f"{context.evidence_dir}: {expected}")
    place = Place(
        program=Path(collection.program("ringfence")).absolute(),
        checkout=Path.cwd(),
        evidence=context.evidence_dir,
        user=user,
        inventory=tuple(map(_absolute, context.sources)),
        vault_password_files=tuple(map(_absolute, target.vault_password_files)),
    )
    if wish.folder:
        _require_seen(place)
    found = units(place, wish)
    problems = verify(found)
    if problems:
        raise BadInputError(f"systemd refuses it: {problems}")
    written = _write(wish.folder, found) if wish.folder else []
    if as_json:
        out.print_json({"exit_code": CLEAN, "units": found, "written": written})
    elif wish.folder:
        _page(written, found)
    else:
        for name, text in found.items():
            print(f"# {name}\n{text}")
    return CLEAN


def _require_seen(place: Place) -> None:
    named = [*place.inventory, *place.vault_password_files]
    for path in (place.program, place.checkout, place.evidence, *map(Path, named)):
        # An inventory that is a list of hosts is no path.
        if path.is_absolute() and any(path.resolve().is_relative_to(hidden) for hidden in _HIDDEN):
            expected = "expected a path outside /tmp and /var/tmp, of which a unit has its own"
            raise BadInputError(f"{path}: {expected}")


def units(place: Place, wish: Wish) -> dict[str, str]:
    """File name -> text, a timer and a service for each job."""
    found = {}
    for name, (what, jitter) in _JOBS.items():
        found[f"ringfence-{name}.service"] = _service(name, what, place)
        found[f"ringfence-{name}.timer"] = _timer(what, getattr(wish, name), jitter)
    return found


def _service(name: str, what: str, place: Place) -> str:
    words = [str(place.program), name, "--json", "--evidence-dir", str(place.evidence)]
    words += [part for source in place.inventory for part in ("-i", source)]
    for path in place.vault_password_files:
        words += ["--vault-password-file", path]
    # One at a time: pruning takes away what a drill may be reading.
    lock = f"/var/lib/{_STATE}/schedule.lock"
    command = " ".join(
        _quoted(word.replace("$", "$$")) for word in ["/usr/bin/flock", lock, *words]
    )
    # The home folder is not written to: what Ansible and restic keep for themselves goes here.
    kept = (f"ANSIBLE_LOCAL_TEMP=/var/lib/{_STATE}/ansible", f"XDG_CACHE_HOME=/var/cache/{_STATE}")
    rights = "" if place.user == "root" else "CapabilityBoundingSet=\n"
    return f"""{_HEADER}[Unit]
Description={what}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={place.user}
WorkingDirectory={_escaped(str(place.checkout))}
ExecStart={command}
Environment={" ".join(kept)}
TimeoutStartSec=12h
Nice=10
IOSchedulingClass=idle
UMask=0077
StateDirectory={_STATE}
StateDirectoryMode=0700
CacheDirectory={_STATE}
CacheDirectoryMode=0700
ReadWritePaths={_quoted(str(place.evidence))}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
{rights}ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""


def _timer(what: str, when: str, jitter: int) -> str:
    return f"""{_HEADER}[Unit]
Description={what}, by the clock

[Timer]
OnCalendar={_escaped(when)}
RandomizedDelaySec={jitter}s
AccuracySec=1min
Persistent=yes

[Install]
WantedBy=timers.target
"""


def _escaped(text: str) -> str:
    """As a setting takes it: on one line, without specifiers."""
    if "\n" in text or "\r" in text:
        raise BadInputError(f"found a line end in {text!r}")
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """As one word of several."""
    text = _escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else f'"{text}"'


def verify(found: Mapping[str, str]) -> str:
    """What systemd would complain of; empty where it would not, or is not there to be asked."""
    if shutil.which("systemd-analyze") is None:
        return ""
    with tempfile.TemporaryDirectory(prefix="ringfence-") as folder:
        for name, text in found.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", *(f"{folder}/{name}" for name in found)],
            capture_output=True,
            text=True,
            check=False,
        )
        # It may find fault with units of this machine as well.
        own = [
            line.replace(f"{folder}/", "")
            for line in done.stderr.splitlines()
            if folder in line or any(name in line for name in found)
        ]
    return "; ".join(own) or (done.stderr.strip()[:300] if done.returncode else "")


def _write(folder: Path, found: Mapping[str, str]) -> list[str]:
    """Write what differs; the paths."""
    written = []
    for name, text in found.items():
        path = folder / name
        try:
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                continue
            staged = folder / f".{name}.new"
            staged.write_text(text, encoding="utf-8")
            staged.chmod(0o644)
            staged.replace(path)
        except OSError as error:
            raise BadInputError(f"{path}: cannot be written: {error.strerror}") from error
        written.append(str(path))
    return written


def _page(written: list[str], found: Mapping[str, str]) -> None:
    page = out.console()
    for path in written:
        page.print(Text(path), soft_wrap=True)
    said = f"{out.count(len(written), 'unit')} written, {len(found) - len(written)} as they were"
    out.paragraph(page, Text(said, style="bold green"))
    timers = " ".join(name for name in found if name.endswith(".timer"))
    out.next_step(page, f"systemctl daemon-reload && systemctl enable --now {timers}")


def _absolute(path: str) -> str:
    """An inventory may also be a list of hosts, which is no path."""
    return path if "," in path else str(Path(path).expanduser().absolute())
