# SPDX-License-Identifier: GPL-3.0-or-later
"""Other hardening collections, approximated: what they set by default, set on a test host.

None of them is to be had from the registries that this project installs from. Each file beside this
one holds settings of one of them, as facts: what its published defaults say, and nothing of its
code. The approximation errs in the collection's favour: what it does only on request is set too
where a judge looks at it, and where a value cannot be had the best one is taken.

  title, source   whose defaults, and which version of them was read
  left_out        what is not set here, a line each
  packages        present, absent
  sysctl          key: value
  modules         that cannot be loaded
  sshd            option: value
  login_defs      key: value
  modes           paths or a pattern: [owner, group, mode]; an owner or group of "" stays
  files           path: text
  pam             which of faillock, pwquality, pwhistory its PAM asks
  commands        shell, for what none of these can say
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
_HEAD = """\
set -u
export DEBIAN_FRONTEND=noninteractive
put() { mkdir -p "$(dirname "$1")"; cat > "$1"; }
"""
# Debian reads these with pam-auth-update; the numbers are in each module's own file.
_PAM = {
    "faillock": """\
Name: Lock an account after failures
Default: yes
Priority: 0
Auth-Type: Primary
Auth:
\t[default=die] pam_faillock.so authfail
""",
    "faillock_notify": """\
Name: Ask whether an account is locked
Default: yes
Priority: 1024
Auth-Type: Primary
Auth:
\trequisite pam_faillock.so preauth
Account-Type: Primary
Account:
\trequired pam_faillock.so
""",
    "pwhistory": """\
Name: Refuse old passwords
Default: yes
Priority: 1023
Password-Type: Primary
Password:
\trequisite pam_pwhistory.so remember=24 enforce_for_root use_authtok
""",
}


@dataclass(frozen=True)
class Peer:
    """One collection; see the module's own words for the fields."""

    name: str
    title: str
    source: str
    left_out: tuple[str, ...]
    packages: Mapping[str, list[str]] = field(default_factory=dict)
    sysctl: Mapping[str, object] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    sshd: Mapping[str, str] = field(default_factory=dict)
    login_defs: Mapping[str, object] = field(default_factory=dict)
    modes: Mapping[str, list[str]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    pam: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    def script(self) -> str:
        """A shell script that brings a host there, as root. It says nothing and breaks nowhere.

        A setting that a container cannot have is passed over, as for our own controls.
        """
        return _HEAD + "\n".join(_lines(self)) + "\n"


def load() -> dict[str, Peer]:
    """Every approximated collection by name. Raises ValueError with one line for a bad file."""
    return {path.stem: _read(path) for path in sorted(FOLDER.glob("*.yml"))}


def _read(path: Path) -> Peer:
    raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {row.name for row in fields(Peer)} - {"name"}
    if set(raw) - known or not {"title", "source", "left_out"} <= set(raw):
        raise ValueError(f"{path.name}: expected title, source, left_out, and of {sorted(known)}")
    lists = {key: tuple(value) for key, value in raw.items() if isinstance(value, list)}
    return Peer(name=path.stem, **{**raw, **lists})


def _lines(peer: Peer) -> Iterator[str]:
    absent, present = peer.packages.get("absent", []), peer.packages.get("present", [])
    if absent:
        # A name that is in no list of packages would stop the removal of all others.
        names = " ".join(shlex.quote(name) for name in absent)
        yield f'for name in {names}; do apt-get purge -qq -y "$name"; done >/dev/null 2>&1'
    if present:
        yield _quiet(f"apt-get install -qq -y --no-install-recommends {shlex.join(present)}")
    if peer.sysctl:
        text = "".join(f"{key} = {value}\n" for key, value in peer.sysctl.items())
        yield _put("/etc/sysctl.d/zz-peer.conf", text)
        yield _quiet("sysctl -e -q -p /etc/sysctl.d/zz-peer.conf")
    if peer.modules:
        text = "".join(f"install {name} /bin/false\nblacklist {name}\n" for name in peer.modules)
        yield _put("/etc/modprobe.d/peer.conf", text)
    for key, value in peer.login_defs.items():
        yield f"sed -i -E '/^#?[[:space:]]*{key}[[:space:]]/d' /etc/login.defs"
        yield f"echo {shlex.quote(f'{key} {value}')} >> /etc/login.defs"
    for path, text in peer.files.items():
        yield _put(path, text)
    yield from _pam(peer.pam)
    yield from (_quiet(command) for command in peer.commands)
    for path, (owner, group, mode) in peer.modes.items():
        # Unquoted: it may be several paths, or a pattern.
        yield _quiet(f'for it in {path}; do chown {owner}:{group} "$it"; chmod {mode} "$it"; done')
    if peer.sshd:
        text = "".join(f"{option} {value}\n" for option, value in peer.sshd.items())
        yield _put("/etc/ssh/sshd_config.d/00-peer.conf", text)
        yield "sshd -t && systemctl reload ssh"


def _pam(modules: tuple[str, ...]) -> Iterator[str]:
    names = [name for name in modules if name in _PAM]
    if "faillock" in names:
        names.append("faillock_notify")
    for name in names:
        yield _put(f"/usr/share/pam-configs/{name}", _PAM[name])
    if "pwquality" in modules:
        yield _quiet("apt-get install -qq -y --no-install-recommends libpam-pwquality")
    if modules:
        yield _quiet(f"pam-auth-update --enable {shlex.join(names)}" if names else "true")


def _put(path: str, text: str) -> str:
    return f"printf %s {shlex.quote(text)} | put {shlex.quote(path)}"


def _quiet(command: str) -> str:
    return f"{{ {command}; }} >/dev/null 2>&1 || true"
