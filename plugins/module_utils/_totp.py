# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One-time codes (RFC 6238) and the state files that pam_google_authenticator reads and rewrites.

A state file holds the secret in base32 on its first line, settings as lines that begin with `" `,
and the recovery codes that are left, one a line. PAM judges sign-ins; this module only makes a
secret, checks the first code at enrolment, and tells whether a file is as strict as it must be.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import struct
from dataclasses import dataclass
from urllib.parse import quote

STEP_SECONDS = 30
WINDOW_STEPS = 1  # the code before and the one after are taken too: clocks differ
RECOVERY_CODES = range(11)  # pam_google_authenticator keeps no more than ten

_DIGITS = 6
_SECRET_BYTES = 20  # what RFC 4226 recommends for HMAC-SHA-1
_MIN_SECRET_BYTES = 16
_RECOVERY_DIGITS = 8
_WINDOW_SIZE = 2 * WINDOW_STEPS + 1
_SETTING = '" '
# What useradd and adduser make, domain accounts included; nothing that a path or an
# sshd pattern could read as more than a name.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}\$?")
_FAR_STEPS = 40


class TotpError(Exception):
    """What is wrong, in one line that holds no secret."""


@dataclass(frozen=True)
class Limits:
    """At most `attempts` codes, right or wrong, within `seconds`; then refused until they pass."""

    attempts: int = 5
    seconds: int = 300


@dataclass(frozen=True)
class State:
    """A parsed state file. `settings`: name -> the rest of its line."""

    secret: str
    settings: dict[str, str]
    recovery_codes: tuple[str, ...]


def checked_name(account: str) -> str:
    """`account`, where it can name a state file and stand in sshd's configuration.

    Raises TotpError for any other name.
    """
    if not _NAME.fullmatch(account) or account in (".", ".."):
        raise TotpError(
            f"account {shown(account)}: expected a name of letters, digits and _ . @ + -"
        )
    return account


def shown(text: str) -> str:
    """`text` quoted for a message: odd bytes and control characters as escapes."""
    return ascii(text) if not text.isprintable() else f"'{text}'"


def new_secret() -> str:
    """160 random bits from the system's generator, in base32."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def new_recovery_codes(count: int) -> tuple[str, ...]:
    """`count` different codes of eight digits, none beginning with 0 (PAM takes no such)."""
    lowest = 10 ** (_RECOVERY_DIGITS - 1)
    codes: set[str] = set()
    while len(codes) < count:
        codes.add(str(lowest + secrets.randbelow(9 * lowest)))
    return tuple(sorted(codes, key=lambda _code: secrets.randbits(32)))


def step_of(moment: float) -> int:
    """The number of the 30-second step that `moment` (seconds since 1970) lies in."""
    return int(moment // STEP_SECONDS)


def code_of(secret: str, step: int) -> str:
    """The six digits that `secret` (base32) gives for a step."""
    digest = hmac.new(_decoded(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"


def step_of_code(secret: str, code: str, moment: float) -> int:
    """The step whose code this is, no further than one from `moment`.

    Raises TotpError, which says so where a clock that is wrong explains it.
    """
    typed = re.sub(r"[\s-]", "", code)
    if not re.fullmatch(rf"[0-9]{{{_DIGITS}}}", typed):
        raise TotpError("expected the six digits that the app shows now")
    now = step_of(moment)
    for distance in sorted(range(-_FAR_STEPS, _FAR_STEPS + 1), key=abs):
        if hmac.compare_digest(code_of(secret, now + distance), typed):
            if abs(distance) <= WINDOW_STEPS:
                return now + distance
            direction = "behind" if distance < 0 else "ahead of"
            raise TotpError(
                f"the app is about {abs(distance) * STEP_SECONDS} s {direction} this host's clock: "
                "set the clock that is wrong"
            )
    raise TotpError("that is not the code of this secret")


def uri(secret: str, account: str, issuer: str) -> str:
    """What an authenticator app scans. `issuer` groups entries in the app: the host's name."""
    place = quote(issuer, safe="")
    return f"otpauth://totp/{place}:{quote(account, safe='')}?secret={secret}&issuer={place}"


def render(
    secret: str, recovery_codes: tuple[str, ...], limits: Limits, used_step: int | None = None
) -> str:
    """A new state file. `used_step`: the step of a code that was used up already."""
    settings = _wanted(limits)
    if used_step is not None:
        settings["DISALLOW_REUSE"] = str(used_step)
    return _joined(State(secret, settings, recovery_codes))


def parse(text: str) -> State:
    """The content of a state file. Raises TotpError where PAM could not read it either."""
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise TotpError("holds no secret")
    _decoded(lines[0].strip())
    settings: dict[str, str] = {}
    codes: list[str] = []
    for line in lines[1:]:
        if line.startswith(_SETTING):
            name, _space, rest = line[len(_SETTING) :].partition(" ")
            settings[name] = rest.strip()
        elif re.fullmatch(rf"[0-9]{{{_RECOVERY_DIGITS}}}", line.strip()):
            codes.append(line.strip())
    return State(lines[0].strip(), settings, tuple(codes))


def weaknesses(state: State, limits: Limits) -> list[str]:
    """Where a state file is less strict than it must be; empty for one that is as made here."""
    found = []
    if len(_decoded(state.secret)) < _MIN_SECRET_BYTES:
        found.append(f"a secret of fewer than {_MIN_SECRET_BYTES * 8} bits")
    if "TOTP_AUTH" not in state.settings or "HOTP_COUNTER" in state.settings:
        found.append("codes that count instead of following the clock")
    if "DISALLOW_REUSE" not in state.settings:
        found.append("a code can be used twice")
    if state.settings.get("WINDOW_SIZE", str(_WINDOW_SIZE)) != str(_WINDOW_SIZE):
        found.append(f"codes further than {WINDOW_STEPS} step away are taken")
    if state.settings.get("STEP_SIZE", str(STEP_SECONDS)) != str(STEP_SECONDS):
        found.append(f"steps other than {STEP_SECONDS} s")
    if _rate(state) != (limits.attempts, limits.seconds):
        found.append(f"no limit of {limits.attempts} codes in {limits.seconds} s")
    return found


def with_limits(text: str, limits: Limits) -> str:
    """A state file made as strict as `limits`; its secret, used codes and attempts are kept."""
    state = parse(text)
    if not weaknesses(state, limits):
        return text
    settings = _wanted(limits)
    if "DISALLOW_REUSE" in state.settings:
        settings["DISALLOW_REUSE"] = state.settings["DISALLOW_REUSE"]
    moments = state.settings.get("RATE_LIMIT", "").split()[2:]
    settings["RATE_LIMIT"] = " ".join([settings["RATE_LIMIT"], *moments])
    return _joined(State(state.secret, settings, state.recovery_codes))


def _wanted(limits: Limits) -> dict[str, str]:
    return {
        "RATE_LIMIT": f"{limits.attempts} {limits.seconds}",
        "WINDOW_SIZE": str(_WINDOW_SIZE),
        "DISALLOW_REUSE": "",
        "TOTP_AUTH": "",
    }


def _joined(state: State) -> str:
    settings = [f"{_SETTING}{name} {rest}".rstrip() for name, rest in state.settings.items()]
    return "\n".join([state.secret, *settings, *state.recovery_codes]) + "\n"


def _rate(state: State) -> tuple[int, int] | None:
    numbers = state.settings.get("RATE_LIMIT", "").split()[:2]
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
        return None
    return int(numbers[0]), int(numbers[1])


def _decoded(secret: str) -> bytes:
    padding = "=" * (-len(secret) % 8)
    try:
        return base64.b32decode(secret + padding, casefold=True)
    except (binascii.Error, ValueError) as error:
        raise TotpError("holds no secret in base32") from error
