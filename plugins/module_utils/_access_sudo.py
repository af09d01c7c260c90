# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may become whom by sudo, and run what: rules resolved to accounts, as sudo resolves them.

sudo's own parser (cvtsudoers) follows includes and aliases; what it tells is matched here against
every account at once, where `sudo -l -U` would have to be asked once for each.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _cvtsudoers
from ansible_collections.ringfence.hosting.plugins.module_utils._cvtsudoers import (
    ask,
    items,
    kind_of,
    spelt,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

ALL = "ALL"
_ROOTS = frozenset({ALL, "root", "#0"})
# Programs that, as root and with arguments of one's own choice, give a root shell or root's files.
_ESCAPES = frozenset(
    {
        *("ansible", "ansible-playbook", "apt", "apt-get", "aptitude", "ash", "awk", "base64"),
        *("bash", "busybox", "cat", "chmod", "chown", "chroot", "cp", "cpio", "cron", "crontab"),
        *("csh", "curl", "dash", "dd", "dpkg", "docker", "ed", "emacs", "env", "ex", "expect"),
        *("find", "gawk", "gdb", "git", "install", "journalctl", "ksh", "less", "ln", "lua"),
        *("lxc", "lxd", "machinectl", "mariadb", "mawk", "more", "mount", "mv", "mysql", "nano"),
        *("nice", "nmap", "nohup", "nsenter", "perl", "php", "podman", "pip", "pip3", "psql"),
        *("python", "python3", "rbash", "rpm", "rsync", "ruby", "run-parts", "runuser", "rvim"),
        *("scp", "screen", "script", "sed", "setpriv", "sh", "socat", "ssh", "strace", "su"),
        *("sudo", "systemctl", "systemd-run", "tail", "tar", "taskset", "tcpdump", "tee", "time"),
        *("timeout", "tmux", "unshare", "useradd", "usermod", "vi", "view", "vim", "vipw"),
        *("visudo", "watch", "wget", "xargs", "zip", "zsh"),
    }
)


@dataclass(frozen=True)
class Principal:
    """An account as sudo looks at it; `groups` by name, `gids` by number."""

    name: str
    uid: int
    groups: frozenset[str]
    gids: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Grant:
    """One rule as it holds for one account. Empty `users` with `groups`: only the group changes.

    `rule`: for whom the rule was written, such as `%sudo`. `commands`: in the rule's order, a
    leading `!` takes one out again.
    """

    rule: str
    users: tuple[str, ...]
    groups: tuple[str, ...]
    commands: tuple[str, ...]
    nopasswd: bool | None = None

    @property
    def as_root(self) -> bool:
        """Whether it lets somebody act as root."""
        return any(user in _ROOTS for user in self.users)

    def shown(self) -> str:
        """`%sudo: (ALL : ALL) NOPASSWD: ALL`."""
        runas = ", ".join(self.users)
        if self.groups:
            runas = (
                f"{runas} : {', '.join(self.groups)}" if runas else f": {', '.join(self.groups)}"
            )
        word = "NOPASSWD: " if self.nopasswd else ""
        return f"{self.rule}: ({runas}) {word}{', '.join(self.commands)}"


@dataclass
class Rules:
    """What the host's sudoers says. `unresolved`: for whom it cannot be told on the host."""

    specs: list[dict[str, Any]]
    defaults: list[dict[str, Any]]
    hostname: str
    addresses: tuple[Any, ...] = ()
    unresolved: set[str] = field(default_factory=set)

    def of(self, who: Principal) -> list[Grant]:
        """The grants of an account, in the order of the rules."""
        return [grant for spec in self.specs for grant in self._of_spec(spec, who)]

    def asks_nobody(self, who: Principal) -> bool:
        """Whether a setting takes the question for a password from the account altogether."""
        asked = True
        for row in self.defaults:
            bound = row.get("Binding") or []
            if bound and not self._bound(bound, who):
                continue
            for option in row.get("Options") or []:
                if "authenticate" in option:
                    asked = option["authenticate"] is not False
                if option.get("exempt_group") in who.groups:
                    asked = False
        return not asked

    def _bound(self, bound: list[dict[str, Any]], who: Principal) -> bool:
        if any("hostname" in item or "command" in item for item in bound):
            return self._host_matches(bound)
        return self._user_matches(bound, who) is not None

    def _of_spec(self, spec: Mapping[str, Any], who: Principal) -> Iterator[Grant]:
        rule = self._user_matches(items(spec, "User_List"), who)
        if rule is None or not self._host_matches(items(spec, "Host_List")):
            return
        for part in items(spec, "Cmnd_Specs"):
            yield _grant(rule, part)

    def _user_matches(self, items: list[dict[str, Any]], who: Principal) -> str | None:
        """For whom the rule was written that holds for `who`; the last one that matches decides."""
        rule = None
        for item in items:
            if self._is_user(item, who):
                rule = None if item.get("negated") else spelt(item)
        return rule

    def _is_user(self, item: Mapping[str, Any], who: Principal) -> bool:
        kind, value = kind_of(item)
        if kind == "username":
            return value in (ALL, who.name)
        if kind == "userid":
            return str(value) == str(who.uid)
        if kind == "usergroup":
            return value in who.groups
        if kind == "usergid":
            return str(value) in {str(gid) for gid in who.gids}
        if kind in ("netgroup", "nonunixgroup", "nonunixgid"):
            self.unresolved.add(spelt(item))
        return False

    def _host_matches(self, items: list[dict[str, Any]]) -> bool:
        found = False
        for item in items:
            if self._is_host(item):
                found = not item.get("negated")
        return found

    def _is_host(self, item: Mapping[str, Any]) -> bool:
        kind, value = kind_of(item)
        if kind == "hostname":
            names = {self.hostname, self.hostname.partition(".")[0]}
            return value == ALL or any(fnmatchcase(name, str(value)) for name in names)
        if kind == "networkaddr":
            try:
                network = ipaddress.ip_network(str(value), strict=False)
            except ValueError:
                return False
            return any(address in network for address in self.addresses)
        if kind == "netgroup":
            self.unresolved.add(spelt(item))
        return False


def read(host: Host, hostname: str, addresses: Iterable[str] = ()) -> Rules:
    """The host's rules. Raises HostError; a host without sudo has none, told as HostError too."""
    return parse(ask(host), hostname, addresses)


def parse(text: str, hostname: str, addresses: Iterable[str] = ()) -> Rules:
    """What `cvtsudoers -e -f json` said. Raises HostError."""
    said = _cvtsudoers.parse(text)
    known = tuple(ipaddress.ip_address(address.partition("%")[0]) for address in addresses)
    return Rules(items(said, "User_Specs"), items(said, "Defaults"), hostname, known)


def _grant(rule: str, part: Mapping[str, Any]) -> Grant:
    users = tuple(spelt(item) for item in items(part, "runasusers"))
    groups = tuple(spelt(item).replace("%", "", 1) for item in items(part, "runasgroups"))
    nopasswd = None
    for option in items(part, "Options"):
        if "authenticate" in option:
            nopasswd = option["authenticate"] is False
    commands = tuple(spelt(item) for item in items(part, "Commands"))
    # A rule without a runas part is for root; one with a group alone keeps the user.
    if not users and not groups:
        users = ("root",)
    return Grant(rule, users, groups, commands, nopasswd)


def becomes_root(grants: Iterable[Grant], writable: Mapping[str, bool] | None = None) -> str:
    """Why the grants make somebody root; empty where they do not.

    `writable`: programs that somebody other than root can change -> True.
    """
    for grant in grants:
        if not grant.as_root:
            continue
        for command in grant.commands:
            why = _escape(command, writable or {})
            if why is not None:
                return f"{grant.shown()}{why}"
    return ""


def _escape(command: str, writable: Mapping[str, bool]) -> str | None:
    """How a command that runs as root gives all of root's rights; None where it does not."""
    if command.startswith("!"):
        return None
    program, _blank, arguments = command.partition(" ")
    if program == ALL:
        return " "
    if writable.get(program):
        return f": others than root can change {program}"
    if program.endswith("/") or "*" in program or program.startswith("^"):
        return f": {program} stands for many programs"
    if program == "sudoedit":
        return ": sudoedit of a pattern" if re.search(r"[*?\[^]", arguments) else None
    free = not arguments or "*" in arguments or arguments.startswith("^")
    if program.rpartition("/")[2] in _ESCAPES and free and arguments != '""':
        return f": {program.rpartition('/')[2]} can start any other program or write any file"
    return None


def programs(grants: Iterable[Grant]) -> set[str]:
    """The programs with a path of their own in the grants."""
    return {
        command.partition(" ")[0]
        for grant in grants
        for command in grant.commands
        if command.startswith("/") and not re.search(r"[*?\[\\]|/$", command.partition(" ")[0])
    }


def reachable(direct: Mapping[str, list[Grant]], start: str) -> set[str]:
    """The accounts that `start` can run a shell as, over any number of steps; root as `root`.

    `direct`: account -> its grants.
    """
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        further = _shells(direct.get(waiting.pop(), [])) - seen
        seen |= further
        waiting += further
    return seen


def _shells(grants: Iterable[Grant]) -> set[str]:
    """Whose shell the grants give."""
    users = {
        user
        for grant in grants
        if any(_escape(command, {}) is not None for command in grant.commands)
        for user in grant.users
    }
    return {"root" if user in _ROOTS else user for user in users if user[:1] not in ("!", "%")}
