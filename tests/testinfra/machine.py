# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual machine of the scenario `vm`: weakened, read, and signed in to as a person does.

`python -m tests.testinfra.machine DIRECTORY` weakens it and enrols alice; what was read and her
token stay in DIRECTORY for the tests that come after. Each sign-in takes seconds in software
emulation, so all commands of one kind go over in one.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fleet.vm import Machine
from tests.hosts.second_factor.people import Enrolment, SignIn, Token, sign_in
from tests.testinfra.readings import READINGS

PERSON = "alice"
# A kernel of its own is what these take; a purge of apparmor would only test apt. What no command
# brings into a wrong state (a kernel without AppArmor, say) is read afterwards all the same.
# The kernel of a cloud machine is built without radio.
RADIO = ("kernel_wireless", "kernel_bluetooth")
OWN_KERNEL = [
    name
    for name, reading in READINGS.items()
    if reading.own_kernel and reading.wrong != "true" and name not in ("packages_apparmor", *RADIO)
]
MOUNTED = ["filesystem_shared_memory", "filesystem_temporary_files"]
# Instead of loading all that can be loaded: Linux unloads these two, but no sctp once it was used.
_LOADED = "modprobe -a rds tipc && grep -cE '^(rds|tipc) ' /proc/modules"
_BEFORE, _TOKEN = "before.json", "token.json"
_ENROLMENT_SECONDS = 300
_READ_ALL = """
import json, subprocess, sys
def said(script):
    argv = ["sh", "-c", "{\\n" + script + "\\n} 2>/dev/null"]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True).stdout.strip()
print(json.dumps({name: said(script) for name, script in json.loads(sys.argv[1]).items()}))
"""


def prepare(directory: Path) -> None:
    """Weaken the machine, note what shows it, enrol the person."""
    machine = Machine.attach(directory)
    scripts = [READINGS[name].wrong for name in OWN_KERNEL + MOUNTED]
    as_root(machine, "\n".join([*scripts, _add_person()]))
    readings = {name: READINGS[name].read for name in OWN_KERNEL + MOUNTED}
    shown = read(machine, readings | {"kernel_rare_protocols": _LOADED})
    if shown["kernel_rare_protocols"] != "2":
        raise SystemExit("rds and tipc cannot be loaded: nothing would be shown")
    (directory / _BEFORE).write_text(json.dumps(shown), encoding="utf-8")
    token = directory / _TOKEN
    token.touch(mode=0o600)
    token.write_text(json.dumps(dataclasses.asdict(_enrol(machine))), encoding="utf-8")


def before(directory: Path) -> dict[str, str]:
    """What was read of the weakened machine, by the name of the control."""
    found: dict[str, str] = json.loads((directory / _BEFORE).read_text(encoding="utf-8"))
    return found


def token(directory: Path) -> Token:
    """The person's token."""
    return Token(**json.loads((directory / _TOKEN).read_text(encoding="utf-8")))


def as_root(machine: Machine, script: str) -> str:
    """What a script prints as root, whatever its exit code."""
    return machine.ssh("sudo", "-n", "sh", "-c", shlex.quote(f"{{\n{script}\n}} || true"))


def read(machine: Machine, scripts: Mapping[str, str]) -> dict[str, str]:
    """What each of the scripts prints as root, in one sign-in."""
    order = shlex.quote(json.dumps(dict(scripts)))
    said: dict[str, str] = json.loads(
        machine.ssh("sudo", "-n", "python3", "-c", shlex.quote(_READ_ALL), order)
    )
    return said


def person_signs_in(machine: Machine, *codes: str) -> SignIn:
    """Sign in with the person's key, then the codes."""
    reached: Any = machine  # it has what people.py uses of a fleet: ssh_config and inventory
    return sign_in(reached, machine.name, PERSON, *codes)


def _add_person() -> str:
    """An account whose key is the administrator's."""
    return (
        f"useradd --create-home --shell /bin/bash {PERSON}; "
        f"install -d -m 700 -o {PERSON} -g {PERSON} /home/{PERSON}/.ssh; "
        f"install -m 600 -o {PERSON} -g {PERSON} /home/ops/.ssh/authorized_keys "
        f"/home/{PERSON}/.ssh/"
    )


def _enrol(machine: Machine) -> Token:
    reached: Any = machine
    enrolment = Enrolment(reached, machine.name, PERSON)
    enrolment.child.timeout = _ENROLMENT_SECONDS
    made = enrolment.scan()
    made.used = made.code()
    enrolment.answer(made.used)
    enrolment.keep_recovery_codes(made)
    if enrolment.end() != 0:
        raise SystemExit(f"enrolment of {PERSON} failed: {enrolment.seen.after_leaving()[-500:]}")
    return made


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
