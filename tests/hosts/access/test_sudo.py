# SPDX-License-Identifier: GPL-3.0-or-later
"""What we resolve of fifty made-up sudoers is what sudo itself says of each account."""

from __future__ import annotations

import json
import random
import re
import subprocess

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_sudo as sudo

from .conftest import Found

pytestmark = pytest.mark.hosts

USERS = ("ada", "ben", "dev", "cal")
_FILES = 50
_COMMANDS = (
    *("ALL", "/usr/bin/apt-get", "/usr/bin/systemctl restart nginx", "/usr/bin/tail -f /var/log/*"),
    *("/opt/tools/", "sudoedit /etc/hosts", "!/usr/bin/su", "/bin/bash", "TOOLS", "/usr/bin/id"),
)
_WHO = ("ada", "ben", "dev", "%sudo", "%docker", "TEAM", "ALL", "!ben", "#1000", "%#27", "cal")
_AS = ("", "(ALL)", "(ALL:ALL)", "(root)", "(www-data)", "(ben, dev)", "(:adm)", "(root:adm)",
       "(OPERATORS)")  # fmt: skip
_WHERE = ("ALL", "faulty", "faulty, ALL", "nowhere", "WEB", "ALL, !faulty")
_HEAD = """\
User_Alias TEAM = dev, cal, !ben
Runas_Alias OPERATORS = www-data, backup
Host_Alias WEB = faulty, other
Cmnd_Alias TOOLS = /usr/bin/less, /usr/bin/du
"""
# Runs on the host: each file in turn is the only one, and sudo is asked of each account.
_ASK = """
import json, os, subprocess, sys
files, users = json.load(sys.stdin)
def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
path, found = "/etc/sudoers.d/99-made-up", []
for text in files:
    with open(path, "w") as handle:
        handle.write(text)
    os.chmod(path, 0o440)
    told = run("cvtsudoers", "-e", "-f", "json", "/etc/sudoers")
    said = {user: run("sudo", "-l", "-U", user).stdout for user in users}
    found.append([told.stdout, told.stderr, said])
os.unlink(path)
print(json.dumps(found))
"""


def made_up(number: int) -> str:
    """A sudoers file, the same for the same number."""
    dice = random.Random(number)  # noqa: S311
    lines = [_HEAD]
    for _line in range(dice.randint(1, 6)):
        who = dice.sample(_WHO, dice.randint(1, 3))
        if all(one.startswith("!") for one in who):
            who.append("ALL")
        parts = []
        for _part in range(dice.randint(1, 2)):
            tag = dice.choice(("", "", "NOPASSWD: ", "PASSWD: "))
            commands = ", ".join(dice.sample(_COMMANDS, dice.randint(1, 3)))
            parts.append(f"{dice.choice(_AS)} {tag}{commands}")
        lines.append(f"{', '.join(who)} {dice.choice(_WHERE)} = {', '.join(parts)}\n")
    return "".join(lines)


Rule = tuple[frozenset[str], frozenset[str], bool, str]


def of_sudo(text: str) -> list[Rule]:
    """What `sudo -l -U` lists: (as users, as groups, without a password, command), in its order."""
    found: list[Rule] = []
    listed = text.partition("may run the following commands")[2].partition("\n")[2]
    for line in listed.splitlines():
        match = re.fullmatch(r"    \(([^)]*)\) (.*)", line)
        if match is None:
            continue
        users, _colon, groups = match[1].partition(" : ")
        nopasswd = False
        for command in re.split(r", (?![^(]*\))", match[2]):
            while tag := re.match(r"(NOPASSWD|PASSWD|SETENV|NOSETENV): ", command):
                nopasswd = {"NOPASSWD": True, "PASSWD": False}.get(tag[1], nopasswd)
                command = command[tag.end() :]
            found.append((_names(users), _names(groups), nopasswd, command))
    return found


def _names(text: str) -> frozenset[str]:
    return frozenset(filter(None, (one.strip() for one in text.split(","))))


def ours(grants: list[sudo.Grant], user: str) -> list[Rule]:
    """The same of what was resolved. Of a group alone, sudo names the account itself."""
    return [
        (
            frozenset(grant.users) or frozenset({user}),
            frozenset(grant.groups),
            bool(grant.nopasswd),
            command,
        )
        for grant in grants
        for command in grant.commands
    ]


def test_resolved_as_sudo_resolves(found: Found) -> None:
    files = [made_up(number) for number in range(_FILES)]
    container = found.fleet.container("faulty")
    done = subprocess.run(
        ["podman", "exec", "-i", container, "python3", "-c", _ASK],
        input=json.dumps([files, USERS]), capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    groups = found.fleet.exec("faulty", "getent", "group")
    who = {name: _principal(found, name, groups) for name in USERS}
    compared = 0
    for number, (told, complaint, said) in enumerate(json.loads(done.stdout)):
        assert told, f"{complaint}\n{files[number]}"
        rules = sudo.parse(told, "faulty")
        for name in USERS:
            theirs = of_sudo(said[name])
            assert ours(rules.of(who[name]), name) == theirs, (
                f"{name}\n{files[number]}\n{said[name]}"
            )
            compared += len(theirs)
    assert compared > 300


def _principal(found: Found, name: str, groups: str) -> sudo.Principal:
    _name, _x, uid, gid, *_rest = found.fleet.exec("faulty", "getent", "passwd", name).split(":")
    mine = [
        line.split(":")
        for line in groups.splitlines()
        if line.split(":")[2] == gid or name in line.strip().split(":")[3].split(",")
    ]
    return sudo.Principal(
        name, int(uid), frozenset(one[0] for one in mine), frozenset(int(one[2]) for one in mine)
    )
