# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates of the sites that nginx and Apache serve: time left, way to an authority, keys."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _certificates, _web
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# check: expiry (the value: days that must be left), chain (files of further authorities), names
# (those that need not be covered), match, strength (bits of an RSA key), key_files (mode),
# issued (domains whose certificate is to be certbot's), renewal, served.
PARAMS = {"check": "str"}
VALUE = ("int", "list", "str", "mode")

_LINEAGE = re.compile(r"/etc/letsencrypt/live/([^/]+)/")
_TIMERS = ("certbot.timer", "snap.certbot.renew.timer")
_RENEWERS = ("certbot.service", "snap.certbot.renew.service")
_STRONG = ("Ed25519", "Ed448")
_RELOADS = {"nginx": "reload_nginx", "apache": "reload_apache"}


class _Mend(NamedTuple):
    """What mends it: the `mode` of a file, a `unit` that is switched on, a server's `reload`."""

    kind: str
    what: str
    mode: int = 0


class _Wrong(NamedTuple):
    """What is wrong with a certificate, and the remedy; None for a person's."""

    said: str
    mend: _Mend | None = None


def observe(host: Host, control: Control) -> Observation:
    check = control.params["check"]
    if check not in _CHECKS:
        raise HostError(f"there is no check {check}")
    items = _certificates.served(host)
    wrong = list(dict.fromkeys(_CHECKS[check](host, control, items)))
    good = _good(host, control, items)
    state = {"count": len(items), "wrong": wrong, "renewed": bool(_lineages(items))}
    return Observation(state, _web.shortened([row.said for row in wrong]) or good)


def judge(control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if control.params["check"] == "issued" and not control.value:
        return Verdict(NOT_APPLICABLE, "no site asks for a certificate of certbot's")
    if control.params["check"] != "issued" and not state["count"]:
        return Verdict(NOT_APPLICABLE, "no site is served by TLS")
    if control.params["check"] == "renewal" and not state["renewed"]:
        return Verdict(NOT_APPLICABLE, "no certificate is certbot's")
    if not state["wrong"]:
        return Verdict(PASS)
    by_hand = any(row.mend is None for row in state["wrong"])
    return Verdict(FAIL, observation.shown, by_hand=by_hand)


def plan(_control: Control, observation: Observation, stage: Stage) -> None:
    remedies = [row.mend for row in observation.state["wrong"] if row.mend is not None]
    for mend in remedies:
        if mend.kind == "mode":
            stage.step(partial(_set_mode, path=mend.what, mode=mend.mode))
        elif mend.kind == "unit":
            stage.unit(mend.what, "enabled")
        else:
            stage.host.awaited.add(f"certificates of {mend.what}")
            stage.step(_nothing)
            stage.notify(_RELOADS[mend.what])


def _good(host: Host, control: Control, items: list[_certificates.Served]) -> str:
    """What to show where nothing is wrong: of the time, the least that is left."""
    if control.params["check"] != "expiry" or not items:
        return f"{len({item.certificate for item in items})} certificates"
    days = min(_days_left(_certificates.material(host, item).leaf.not_after) for item in items)
    return f"{days} days left"


def _days_left(end: datetime) -> int:
    """Whole days; below 0 once it has run out."""
    return (end - _now()).days


def _now() -> datetime:
    return datetime.now(UTC)


def _expiry(host: Host, control: Control, items: list[_certificates.Served]) -> Iterator[_Wrong]:
    for item in items:
        leaf = _certificates.material(host, item).leaf
        days = _days_left(leaf.not_after)
        if leaf.not_before > _now():
            yield _Wrong(f"{item.site}: {item.certificate} is good from {leaf.not_before:%F} only")
        elif days < 0:
            yield _Wrong(f"{item.site}: {item.certificate} ran out on {leaf.not_after:%F}")
        elif days < control.value:
            yield _Wrong(f"{item.site}: {days} days left ({item.certificate})")


def _chain(host: Host, control: Control, items: list[_certificates.Served]) -> Iterator[_Wrong]:
    for item in items:
        found = _certificates.material(host, item)
        problem = _certificates.out_of_order(found)
        if not problem:
            problem = _certificates.key_problem(host, item)
            problem = f"cannot be tried: {problem}" if problem else ""
        if not problem and found.leaf.not_after > _now():
            problem = _certificates.chain_problem(host, item, list(control.value))
        if problem:
            yield _Wrong(f"{item.site}: {item.certificate} {problem}")


def _names(host: Host, control: Control, items: list[_certificates.Served]) -> Iterator[_Wrong]:
    """A site with several certificates (of RSA and EC keys) shows each of them."""
    for item in items:
        leaf = _certificates.material(host, item).leaf
        missing = [
            name
            for name in item.names
            if name not in control.value and not _certificates.covers(leaf, name)
        ]
        if missing:
            named = _web.shortened(missing)
            yield _Wrong(f"{item.place}: {item.certificate} is not made out for {named}")


def _match(host: Host, control: Control, items: list[_certificates.Served]) -> Iterator[_Wrong]:
    del control
    for item in items:
        problem = _certificates.key_problem(host, item)
        if problem:
            yield _Wrong(f"{item.site}: {problem}")


def _strength(host: Host, control: Control, items: list[_certificates.Served]) -> Iterator[_Wrong]:
    for item in items:
        found = _certificates.material(host, item)
        for number, one in enumerate((found.leaf, *found.others)):
            which = item.certificate if number == 0 else f"a certificate behind {item.certificate}"
            if one.key == "RSA" and one.bits < control.value:
                yield _Wrong(f"{item.site}: {which} has a key of {one.bits} bits")
            elif one.key not in ("RSA", *_STRONG) and not one.bits:
                yield _Wrong(f"{item.site}: {which} has a key of an unusual kind")
            # Nobody looks at the signature of what is trusted by itself.
            if one.weak_signature and not (one.own_issuer and number):
                yield _Wrong(f"{item.site}: {which} is signed with {one.weak_signature}")


def _key_files(host: Host, control: Control, items: list[_certificates.Served]) -> Iterator[_Wrong]:
    for path in sorted({item.key for item in items}):
        try:
            found = os.stat(host.real(path))
        except OSError as error:
            raise HostError(f"{path} cannot be examined: {error.strerror}") from error
        mode = stat.S_IMODE(found.st_mode)
        excess = mode & ~int(control.value, 8)
        owner = _owner(host, path, found.st_uid)
        if owner != 0:
            yield _Wrong(f"{path} belongs to user {owner}, expected root")
        elif excess:
            right = mode & int(control.value, 8)
            said = f"{path} is {mode:04o}, expected at most {control.value}"
            yield _Wrong(said, _Mend("mode", path, right))


def _owner(host: Host, path: str, real: int) -> int:
    seen = host.attributes(path)
    # Of a link it is the file that counts; of a plain file what the host says of it.
    return real if seen is None or seen.kind == "link" else seen.uid


def _set_mode(host: Host, *, path: str, mode: int) -> None:
    """Of the file itself, where the path is one of certbot's links; another link is refused."""
    real = os.path.realpath(host.real(path))
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HostError(f"{path} cannot be changed: {error.strerror}") from error


def _lineages(items: list[_certificates.Served]) -> list[str]:
    """The names by which certbot knows the certificates that are its own."""
    found = (_LINEAGE.match(item.certificate) for item in items)
    return sorted({match[1] for match in found if match is not None})


def _issued(host: Host, control: Control, items: list[_certificates.Served]) -> Iterator[_Wrong]:
    shown = _certificates.of_running_servers(host, items)
    for name in control.value:
        holders = [item for item in shown if name in item.names]
        if not holders:
            yield _Wrong(f"{name} is not served by TLS")
        for item in holders:
            if not _LINEAGE.match(item.certificate):
                yield _Wrong(f"{item.place}: {name} shows {item.certificate}, not certbot's")


def _renewal(host: Host, control: Control, items: list[_certificates.Served]) -> Iterator[_Wrong]:
    del control
    names = _lineages(items)
    if not names:
        return
    for name in names:
        if host.text(f"/etc/letsencrypt/renewal/{name}.conf") is None:
            yield _Wrong(f"certbot does not renew {name}: /etc/letsencrypt/renewal has nothing")
    shown = host.output(
        ["systemctl", "show", "-p", "Id,UnitFileState,ActiveState,LoadState", *_TIMERS, *_RENEWERS]
    )
    units = [dict(row.split("=", 1) for row in block.splitlines() if "=" in row)
             for block in shown.split("\n\n")]  # fmt: skip
    for unit in units:
        if unit.get("Id") in _RENEWERS and unit.get("ActiveState") == "failed":
            yield _Wrong(f"{unit['Id']} failed: `journalctl -u {unit['Id']}` says why")
    known = [
        unit for unit in units if unit.get("LoadState") == "loaded" and unit.get("Id") in _TIMERS
    ]
    running = [
        unit
        for unit in known
        if unit.get("ActiveState") == "active" and unit.get("UnitFileState") == "enabled"
    ]
    if running:
        return
    if not known:
        yield _Wrong("nothing renews certbot's certificates: there is no timer for it")
        return
    timer = known[0]["Id"]
    said = f"{timer} is switched off, and nothing renews the certificates"
    yield _Wrong(said, _Mend("unit", timer))


def _served(host: Host, control: Control, items: list[_certificates.Served]) -> Iterator[_Wrong]:
    del control
    for item in items:
        if f"certificates of {item.server}" in host.awaited:
            continue
        where = host.once(
            f"served {item.server} {item.certificate} {item.listens} {item.names}",
            partial(_certificates.still_served, host, item),
        )
        if where:
            said = f"{item.site}: {where} still shows another certificate than {item.certificate}"
            # A server that finds another key with it would stop.
            fits = not _certificates.key_problem(host, item)
            yield _Wrong(said, _Mend("reload", item.server) if fits else None)


def _nothing(_host: Host) -> None:
    """A step that changes nothing, for the reload that comes after it."""


_CHECKS: dict[str, Any] = {
    "expiry": _expiry,
    "chain": _chain,
    "names": _names,
    "match": _match,
    "strength": _strength,
    "key_files": _key_files,
    "issued": _issued,
    "renewal": _renewal,
    "served": _served,
}
