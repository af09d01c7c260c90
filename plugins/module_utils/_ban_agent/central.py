# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bans by way of a central list: the local API of a CrowdSec on one host of the fleet.

It stands in the place of the peers: this host tells the list of its own bans, and asks it for those
of others. What it says is taken for a while only, so many an hour, addresses alone, and never whom
this host never bans.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import re
import sqlite3
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.share import (
    FOLDER,
    Limits,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.store import (
    ADDRESS,
    Ban,
    Store,
    plain,
)

# With a space, so that no host is called so.
NAME = "central list"
JAIL = "central"
SECRET = f"{FOLDER}/central.json"
CERTIFICATE = f"{FOLDER}/central.pem"
# The word for bans that hosts make; `cscli decisions list` leaves out any other but its own.
ORIGIN = "crowdsec"

_EVERY = 5.0
_WHOLE_EVERY = 600.0
_HEARD_EVERY = 60
_LONGEST_PAUSE = 60.0
_TIMEOUT = 10
_MAX_BYTES = 32 << 20
_MAX_ROWS = 200
_WITHDRAW = "withdraw "
# The server refuses to answer a program that does not say its name and version.
_HEADERS = {"Content-Type": "application/json", "User-Agent": "ringfence/1"}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SCENARIO = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,62}): (.+)")


class CentralError(Exception):
    """Why the list was not reached or not understood, in one line."""


class Decision(NamedTuple):
    """What the list says of an address. `key` stands for the decision, also after a restart."""

    key: str
    address: str
    until: int
    source: str
    reason: str


# --- telling


def scenario(host: str, reason: str) -> str:
    """How the list names a ban: it keeps no other word on who made it."""
    return f"{host}: {plain(reason)}"


def alerts(bans: Iterable[Ban], host: str, now: int) -> list[dict[str, Any]]:
    """What the list is told: no site and no user, for other hosts read it."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = []
    for ban in bans:
        named = scenario(host, ban.reason)
        decision = {
            "origin": ORIGIN, "type": "ban", "scope": "Ip", "value": ban.subject,
            "duration": f"{max(1, ban.until - now)}s", "scenario": named,
        }  # fmt: skip
        found.append({
            "scenario": named, "scenario_hash": "", "scenario_version": "",
            "message": plain(ban.reason), "events_count": ban.failures, "events": [],
            "start_at": moment, "stop_at": moment, "capacity": 0, "leakspeed": "0",
            "simulated": False, "decisions": [decision],
            "source": {"scope": "Ip", "value": ban.subject, "ip": ban.subject},
        })  # fmt: skip
    return found


# --- being told


def seconds(duration: str) -> float:
    """From `21m56.79s`, as the list writes it. Raises CentralError."""
    text = duration.removeprefix("-")
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise CentralError(f"no duration: {plain(duration)}")
    found = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return -found if duration.startswith("-") else found


def decision(row: Any, now: int) -> Decision | None:
    """From a row of the list; None for what is no ban of a single address."""
    try:
        if row["type"] != "ban" or str(row["scope"]).lower() != "ip":
            return None
        address = ipaddress.ip_address(str(row["value"]))
        until = now + int(seconds(str(row["duration"])))
        origin, said = str(row["origin"]), str(row["scenario"])
        key = f"{int(row['id'])}/{address}"
    except (ValueError, KeyError, TypeError, CentralError):
        return None
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return None
    match = _SCENARIO.fullmatch(said) if origin == ORIGIN else None
    source, reason = match.groups() if match else (NAME, f"{origin}: {said}")
    return Decision(key, str(address), until, source, plain(reason))


class Taken(NamedTuple):
    """`bans` to put in force, each with the key of its decision; `ended`: to lift; `keys`: seen."""

    bans: list[Ban]
    ended: list[Ban]
    keys: set[str]
    complaint: str


def compare(
    listed: Sequence[Decision],
    live: Sequence[Ban],
    seen: set[str],
    limits: Limits,
    already: int,
    host: str,
    now: int,
    never: Callable[[str], bool],
) -> Taken:
    """What the list asks for, beside what it brought here before.

    `live`: the bans in force that it brought; `seen`: keys of decisions that were looked at before,
    each of which is taken once, so that none lasts longer here than `limits` allow.
    """
    keys = {one.key for one in listed}
    # One that ends now by itself is not lifted by anybody.
    ended = [ban for ban in live if ban.state not in keys and ban.until > now + 10]
    fresh = [
        one for one in listed if one.key not in seen and one.until > now and one.source != host
    ]
    refused = {one.address for one in fresh if never(one.address)}
    good = sorted((one for one in fresh if one.address not in refused), key=lambda one: one.until)
    left = max(0, limits.an_hour - already)
    problems = [f"{len(refused)} who are never banned"] if refused else []
    if len(good) > left:
        problems.append(f"{len(good) - left} beyond {limits.an_hour} an hour")
    taken = good[:left]
    bans = [
        Ban(
            0, ADDRESS, one.address, "", JAIL, one.reason, one.source, 0, now,
            min(one.until, now + limits.seconds), state=one.key,
        )
        for one in taken
    ]  # fmt: skip
    looked_at = {one.key for one in taken} | {one.key for one in fresh if one.address in refused}
    complaint = f"left out what the {NAME} asks for: {', '.join(problems)}" if problems else ""
    return Taken(bans, ended, (seen & keys) | looked_at, complaint)


# --- the line


class Line:
    """Asks the server, whose certificate is known here and no other is taken."""

    def __init__(self, address: str, port: int, secret: dict[str, str], certificate: str) -> None:
        self._address, self._port, self._secret = address, port, secret
        self._context = ssl.create_default_context(cafile=certificate)
        self._token = ""

    def push(self, rows: Sequence[dict[str, Any]]) -> None:
        """Put bans on the list. Raises CentralError, OSError."""
        self._signed_in("POST", "/v1/alerts", rows)

    def withdraw(self, address: str, named: str = "") -> None:
        """Take bans of an address off the list; `named`: only those. Raises as `push`."""
        asked = {"ip": address, **({"scenario": named} if named else {})}
        self._signed_in("DELETE", f"/v1/decisions?{urllib.parse.urlencode(asked)}", None)

    def pull(self, *, whole: bool) -> tuple[list[Any], list[Any]]:
        """What is new on the list, or all of it, and what is no more. Raises as `push`."""
        path = f"/v1/decisions/stream?startup={str(whole).lower()}&dedup=false&scopes=ip"
        status, found = self._ask("GET", path, None, {"X-Api-Key": self._secret["key"]})
        if status != 200 or not isinstance(found, dict):
            raise CentralError(f"it answers {status} when asked for the list")
        return list(found.get("new") or []), list(found.get("deleted") or [])

    def _signed_in(self, method: str, path: str, body: Any) -> None:
        for _attempt in range(2):
            if not self._token:
                self._sign_in()
            headers = {"Authorization": f"Bearer {self._token}"}
            status, _found = self._ask(method, path, body, headers)
            if status in (200, 201):
                return
            self._token = ""  # it lasts an hour
            if status != 401:
                break
        raise CentralError(f"it answers {status} to {method} {path.partition('?')[0]}")

    def _sign_in(self) -> None:
        asked = {
            "machine_id": self._secret["machine"], "password": self._secret["password"],
            "scenarios": [],
        }  # fmt: skip
        status, found = self._ask("POST", "/v1/watchers/login", asked, {})
        if status != 200 or not isinstance(found, dict) or not found.get("token"):
            raise CentralError(f"it answers {status} when this host signs in")
        self._token = str(found["token"])

    def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection(
            self._address, self._port, timeout=_TIMEOUT, context=self._context
        )
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {**_HEADERS, **headers})
            answer = connection.getresponse()
            text = answer.read(_MAX_BYTES + 1)
            if len(text) > _MAX_BYTES:
                raise CentralError("its answer is too long")
            with contextlib.suppress(ValueError):
                return answer.status, json.loads(text)
            return answer.status, None
        except http.client.HTTPException as error:
            raise CentralError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()


class Central(threading.Thread):
    """Keeps this host and the list alike, and tries again until it answers."""

    def __init__(
        self, host: str, settings: dict[str, Any], jails: set[str], say: Callable[[str], None]
    ) -> None:
        super().__init__(daemon=True, name=f"the {NAME} on {settings['server']}")
        self._host, self._settings, self._jails, self._say = host, settings, jails, say
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._listed: dict[str, Decision] = {}
        self._fresh = False
        self._next_whole = 0.0
        self._heard = 0
        self._line: Line | None = None

    def wake(self) -> None:
        """There may be something to tell."""
        self._wake.set()

    def withdraw(self, store: Store, address: str, named: str = "") -> None:
        """Take bans of an address off the list, as soon as it answers."""
        if not named or not store.noted(f"{_WITHDRAW}{address}"):
            store.note(f"{_WITHDRAW}{address}", named or "*")
        with self._lock:
            # What was read before this is out of date.
            gone = [key for key, one in self._listed.items() if one.address == address]
            for key in gone:
                if not named or self._listed[key].source == self._host:
                    del self._listed[key]
        self.wake()

    def take(self) -> list[Decision] | None:
        """What is on the list, if that was heard anew since it was taken last."""
        with self._lock:
            if not self._fresh:
                return None
            self._fresh = False
            return list(self._listed.values())

    def run(self) -> None:
        store, pause = Store(), _EVERY
        while True:
            self._wake.clear()
            try:
                self._exchange(store)
                pause = _EVERY
            except Exception as error:  # the thread must go on
                self._line, self._next_whole = None, 0.0
                said = plain(str(error) or type(error).__name__)
                with contextlib.suppress(sqlite3.Error):
                    store.note(f"unheard {NAME}", f"{int(time.time())} {said}")
                self._say(f"{self.name} is not reached: {said}")
                pause = min(pause * 2, _LONGEST_PAUSE)
            self._wake.wait(pause)

    def _exchange(self, store: Store) -> None:
        line = self._line = self._line or self._open()
        for name, named in store.notes_of(_WITHDRAW):
            line.withdraw(name.removeprefix(_WITHDRAW), "" if named == "*" else named)
            store.forget(name, named)
        now = int(time.time())
        while bans := store.to_send(NAME, self._host, self._jails, now):
            line.push(alerts(bans, self._host, now))
            store.sent(NAME, bans)
            if len(bans) < _MAX_ROWS:
                break
        self._pull(line, store)
        if now - self._heard >= _HEARD_EVERY:
            self._heard = now
            store.note(f"heard {NAME}", str(now))

    def _open(self) -> Line:
        with open(SECRET, encoding="utf-8") as handle:
            secret: dict[str, str] = json.load(handle)
        settings = self._settings
        return Line(settings["address"], int(settings["port"]), secret, CERTIFICATE)

    def _pull(self, line: Line, store: Store) -> None:
        whole = time.monotonic() >= self._next_whole
        new, gone = line.pull(whole=whole)
        now = int(time.time())
        found = [one for one in (decision(row, now) for row in new) if one]
        ended = {one.key for one in (decision(row, now) for row in gone) if one}
        pending = {name.removeprefix(_WITHDRAW) for name, _value in store.notes_of(_WITHDRAW)}
        with self._lock:
            if whole:
                self._listed.clear()
                self._next_whole = time.monotonic() + _WHOLE_EVERY
            self._listed.update((one.key, one) for one in found if one.address not in pending)
            for key in ended:
                self._listed.pop(key, None)
            self._fresh = self._fresh or whole or bool(found or ended)
