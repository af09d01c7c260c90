# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The words that pam_unix is called with in /etc/pam.d/common-*.

pam-auth-update keeps what an administrator changes among the words of a line, so the line itself is
edited: that outlives its next run and upgrades of the package.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._mechanisms import pam

# word: nullok, remember or use_authtok, whose value says whether it is there; or hash.
PARAMS = {"word": "str"}
VALUE = ("bool", "str")

_STACKS = ("common-account", "common-auth", "common-password", "common-session")
_HASHES = ("yescrypt", "gost_yescrypt", "blowfish", "sha512", "sha256", "bigcrypt", "md5")
_PASSWORD = "common-password"  # noqa: S105
_LINE = re.compile(r"^(?P<start>[^#\n]*\bpam_unix\.so)(?P<words>[^#\n]*)", re.MULTILINE)


def observe(host: Host, control: Control) -> Observation:
    word = control.params["word"]
    if word not in ("nullok", "remember", "use_authtok", "hash"):
        raise HostError(f"this mechanism does not know the word {word}")
    stacks = {name: host.once(f"pam {name}", partial(pam.stack, host, name)) for name in _STACKS}
    unix = {
        name: [line for line in lines if line.module == "pam_unix.so"]
        for name, lines in stacks.items()
    }
    if not unix[_PASSWORD] or not unix["common-auth"]:
        raise HostError("pam_unix is not in /etc/pam.d/common-auth and common-password")
    asked = [line for line in stacks[_PASSWORD] if line.type == "password"]
    state: dict[str, Any] = {
        "first": asked[0].module == "pam_unix.so",
        "with": [
            line.place.rpartition(":")[0]
            for lines in unix.values()
            for line in lines
            if line.argument(word) is not None
        ],
        "without": [line.place for line in unix[_PASSWORD] if line.argument(word) is None],
        "hashes": [_hash(line.arguments) for line in unix[_PASSWORD]],
    }
    seen = ", ".join(state["hashes"]) if word == "hash" else ", ".join(state["with"]) or "nowhere"
    return Observation(state, seen)


def judge(control: Control, observation: Observation) -> Verdict:
    state, word = observation.state, control.params["word"]
    if word == "hash":
        weak = [name for name in state["hashes"] if not control.meets(name)]
        said = f"pam_unix stores new passwords with {weak[0]}" if weak else ""
        return Verdict(FAIL, said) if weak else Verdict(PASS)
    if not control.value:
        there = state["with"]
        return Verdict(FAIL, f"{there[0]} calls pam_unix with {word}") if there else Verdict(PASS)
    if state["first"]:
        return Verdict(FAIL, "no password check stands before pam_unix, so it asks by itself")
    without = state["without"]
    return (
        Verdict(FAIL, f"{without[0]} calls pam_unix without {word}") if without else Verdict(PASS)
    )


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    state, word = observation.state, control.params["word"]
    if word == "hash":
        hashed = partial(_edited, out=_HASHES, into=str(control.value))
        stage.edit(f"/etc/pam.d/{_PASSWORD}", hashed)
    elif not control.value:
        for path in sorted(set(state["with"])):
            stage.edit(path, partial(_edited, out=(word,), into=""))
    elif state["first"]:
        # With a check before it, pam-auth-update gives pam_unix the word by itself.
        stage.package("libpam-pwquality", "present")
    else:
        stage.edit(f"/etc/pam.d/{_PASSWORD}", partial(_edited, out=(word,), into=word))


def _hash(arguments: tuple[str, ...]) -> str:
    return next(
        (word for word in reversed(arguments) if word in _HASHES), "what crypt falls back to"
    )


def _edited(text: str, *, out: tuple[str, ...], into: str) -> str:
    def line(found: re.Match[str]) -> str:
        words = [word for word in found["words"].split() if word.partition("=")[0] not in out]
        return " ".join([found["start"], *words, *([into] if into else [])])

    return _LINE.sub(line, text)
