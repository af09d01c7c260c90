# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lists of addresses beside the firewall's rules: allow, ban and block, a million entries each.

A list is up to four sets in the kernel: single addresses in a hash set, which stays quick and small
with a million of them, and networks in an interval set; each for IPv4 and IPv6. A change is one
transaction, so no packet passes between the old list and the new.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import ipaddress
import json
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _nftables,
    _nftables_generation,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._nftables import (
    TABLE,
    Address,
    Network,
)

# Entry -> seconds it was given, 0 for ever. An entry is an address or a network, as nft writes it.
Entries = dict[str, int]

NAMES = ("allow", "ban", "block")
MAX_SECONDS = 10 * 365 * 86400

_NFT = "/usr/sbin/nft"
_FOLDER = "/var/lib/ringfence/firewall"
# Gone with a reboot, as what it is about.
LOADED = "/run/ringfence/firewall"
_TIMEOUT = 120
_READ_BACK = 200_000
# Bytes of a list that has some hundred thousand entries.
_LONG_FILE = 3_000_000
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_MAPPED = b"\0" * 10 + b"\xff\xff"
_LISTED = re.compile(
    r"([0-9a-f][0-9a-f.:]+(?:[/-][0-9a-f.:]+)?)(?: timeout (\w+))?(?: expires (\w+))?"
)
_PARTS = re.compile(r"(\d+)(ms|d|h|m|s)")
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_WHOLE = (32, 128)


class ListError(Exception):
    """What is wrong with a list, in one line."""


class Left(NamedTuple):
    """An entry that is live. `given` and `left` are seconds; 0 is for ever."""

    entry: str
    given: int
    left: int


# --- from people


def read_entries(lines: Iterable[str], where: str, seconds: int = 0) -> Entries:
    """Addresses and networks, one a line, as nft writes them; # begins a comment.

    Networks that lie in others are dropped and neighbours joined. Raises ListError with the first
    wrong line, named after `where`.
    """
    addresses: Entries = {}
    networks: list[Network] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        address = _as_address(text)
        if address:
            addresses[address] = seconds
            continue
        try:
            networks.append(_nftables.network(text))
        except ValueError as error:
            raise ListError(f"{where}, line {number}: {error}") from None
    for network in _nftables.collapse(networks):
        if not network.prefixlen:
            raise ListError(f"{where}: holds every address of IPv{network.version}")
        addresses[_entry(network)] = seconds
    return addresses


def _as_address(text: str) -> str:
    """The address as the C library writes it, or nothing; a million of them in a second."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        packed = socket.inet_pton(family, text)
    except OSError:
        return ""
    return "" if packed[:12] == _MAPPED else socket.inet_ntop(family, packed)


def _entry(network: Network) -> str:
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address if whole else network)


# --- sets in the kernel


def set_of(name: str, entry: str) -> str:
    """The set in the kernel that holds an entry of the list `name`."""
    version = 6 if ":" in entry else 4
    if name == "allow":
        return f"allow{version}"
    single = "/" not in entry
    if name == "ban":
        return f"ban{version}" if single else f"ban{version}_networks"
    return f"block{version}_addresses" if single else f"block{version}"


def sets_of(name: str) -> list[str]:
    """All sets of the list `name`."""
    return sorted({set_of(name, entry) for entry in ("192.0.2.1", "192.0.2.0/24", "::1", "::/64")})


def is_interval(set_name: str) -> bool:
    """Whether a set holds networks, which must not overlap."""
    return "interval" in _nftables.FILLED_SETS[set_name]


def live(host: Host, name: str) -> Iterator[Left]:
    """The entries of a list in the kernel. Raises HostError where the firewall is not loaded."""
    for set_name in sets_of(name):
        command = [_NFT, "list", "set", *TABLE.split(), set_name]
        done = host.run(command, timeout=_TIMEOUT)
        if done.rc != 0:
            raise HostError(f"the firewall is not loaded on this host: {done.complaint()}")
        yield from parse_elements(done.out)


def parse_elements(listing: str) -> Iterator[Left]:
    """The elements in what `nft list set` prints; ranges as the networks they are made of."""
    start = listing.find("elements = {")
    if start < 0:
        return
    for match in _LISTED.finditer(listing, start + len("elements = {")):
        given, left = seconds(match[2] or ""), seconds(match[3] or "")
        low, dash, high = match[1].partition("-")
        if not dash:
            yield Left(low, given, left)
            continue
        ends = ipaddress.ip_address(low), ipaddress.ip_address(high)
        for network in ipaddress.summarize_address_range(*ends):
            yield Left(_entry(network), given, left)


def seconds(text: str) -> int:
    """From nft's "1d2h3m4s5ms"; what is left of a second counts as one."""
    total = sum(int(number) * _UNITS[unit] for number, unit in _PARTS.findall(text))
    return -int(-total // 1)


# --- changing


def added(name: str, now: Entries, more: Entries) -> Entries:
    """`now` with `more`: what is covered already stays, save that a ban may be made longer."""
    nets = Networks(entry for entry in now if "/" in entry)
    found = dict(now)
    for entry, given in more.items():
        cover = entry if entry in now else nets.covering(entry)
        if cover is None or _longer(given, now[cover]):
            found[entry] = given
    return without_overlap(name, found)


def removed(now: Entries, less: Entries) -> Entries:
    """`now` in which no address of `less` is left; networks are split where they must be."""
    doomed = Networks(less)
    nets = Networks(entry for entry in now if "/" in entry)
    holes: dict[str, list[str]] = {}
    for entry in less:
        holes.setdefault(nets.covering(entry) or "", []).append(entry)
    found: Entries = {}
    for entry, given in now.items():
        if doomed.covering(entry) is None:
            found |= dict.fromkeys(_pieces(entry, holes.get(entry, [])), given)
    return found


def _pieces(entry: str, holes: list[str]) -> Iterable[str]:
    if not holes:
        return [entry]
    pieces = [ipaddress.ip_network(entry)]
    for hole in map(ipaddress.ip_network, holes):
        pieces = [
            part
            for piece in pieces
            for part in (
                piece.address_exclude(hole)  # type: ignore[arg-type]
                if hole.subnet_of(piece)  # type: ignore[arg-type]
                else [piece]
            )
        ]
    return map(_entry, pieces)


def without_overlap(name: str, entries: Entries) -> Entries:
    """Interval sets refuse one entry within another: the outer stays, for the longer time."""
    nets = Networks(entry for entry in entries if is_interval(set_of(name, entry)))
    found: Entries = {}
    for entry, given in entries.items():
        narrow = not is_interval(set_of(name, entry))
        key = entry if narrow else nets.covering(entry, outermost=True) or entry
        known = found.get(key, given)
        found[key] = given if _longer(given, known) else known
    return found


def _longer(one: int, other: int) -> bool:
    return bool(other) and (not one or one > other)


class Networks:
    """Networks to look addresses up in: by the prefix lengths there are, not one by one."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._known: dict[tuple[int, int], dict[int, str]] = {}
        for entry in entries:
            network = ipaddress.ip_network(entry)
            key = (network.version, network.prefixlen)
            self._known.setdefault(key, {})[int(network.network_address)] = entry

    def covering(self, entry: str | Address, *, outermost: bool = False) -> str | None:
        """The narrowest (or the widest) network that holds `entry`, itself included."""
        wanted = ipaddress.ip_network(entry)
        number, bits = int(wanted.network_address), wanted.max_prefixlen
        for version, length in sorted(self._known, key=lambda key: key[1], reverse=not outermost):
            if version != wanted.version or length > wanted.prefixlen:
                continue
            masked = number >> (bits - length) << (bits - length)
            if masked in self._known[version, length]:
                return self._known[version, length][masked]
        return None


def script(name: str, before: Entries, after: Entries) -> str:
    """What `nft -f` must be fed to change a list; empty where nothing differs.

    Hash sets get what differs; interval sets are filled anew, for in them one may lie in another.
    """
    parts = []
    for set_name in sets_of(name):
        old = {e: s for e, s in before.items() if set_of(name, e) == set_name}
        new = {e: s for e, s in after.items() if set_of(name, e) == set_name}
        if old == new:
            continue
        gone = {e: 0 for e in old if new.get(e) != old[e]}
        if is_interval(set_name) or len(gone) > len(old) // 2:
            parts += [f"flush set {TABLE} {set_name}\n", _elements("add", set_name, new)]
            continue
        more = {e: s for e, s in new.items() if old.get(e) != s}
        parts += [_elements("delete", set_name, gone), _elements("add", set_name, more)]
    return "".join(parts)


def full_script(name: str, entries: Entries) -> str:
    """What fills a list anew, whatever it held: for the next boot."""
    parts = [f"flush set {TABLE} {set_name}\n" for set_name in sets_of(name)]
    for set_name in sets_of(name):
        chosen = sorted(entry for entry in entries if set_of(name, entry) == set_name)
        parts.append(_elements("add", set_name, {entry: entries[entry] for entry in chosen}))
    return "".join(parts)


def parse_full_script(text: str) -> Iterator[str]:
    """The entries in what `full_script` made."""
    return (row.rstrip(",") for row in text.splitlines() if row[:1].isdigit() or ":" in row[:5])


def _elements(verb: str, set_name: str, entries: Entries) -> str:
    if not entries:
        return ""
    rows = (f"{entry} timeout {s}s" if s else entry for entry, s in entries.items())
    # nft needs the line break before the closing bracket.
    return f"{verb} element {TABLE} {set_name} {{\n" + ",\n".join(rows) + "\n}\n"


# --- the whole of it


def run(
    host: Host, given: dict[str, Any], connection: Address | None, *, check: bool
) -> dict[str, Any]:
    """The module ringfence.hosting.firewall_set: its result, from its options.

    Raises ListError for bad data and refusals, HostError for the rest; each in one line.
    """
    if given.get("origin") and (given["list"], given["state"]) != ("block", "exact"):
        raise ListError("origin: expected with the list block and the state exact only")
    work = _replace_long if _is_long(given) else _change
    found = work(host, given, connection, check=check)
    found["changed"] = _note_origin(host, given, check=check) or found["changed"]
    return found


def origin_file(name: str) -> str:
    """What is noted of where a list comes from; not loaded at boot, for it is none of nft's."""
    return f"{_FOLDER}/{name}.json"


def _note_origin(host: Host, given: dict[str, Any], *, check: bool) -> bool:
    """Keep the word on a list beside it; whoever fills the whole list without one drops it."""
    if given["state"] != "exact":
        return False
    path = origin_file(given["list"])
    origin = given.get("origin")
    text = json.dumps(origin, indent=1, sort_keys=True) + "\n" if origin else None
    if host.text(path) == text:
        return False
    if not check and text is None:
        os.unlink(host.real(path))
    elif not check and text is not None:
        replace_file(host, path, text.encode(), 0o600)
    return True


def _change(
    host: Host, given: dict[str, Any], connection: Address | None, *, check: bool
) -> dict[str, Any]:
    name, state, timeout = given["list"], given["state"], given["timeout"]
    _require_timeout(name, timeout)
    asked = _asked(given, timeout)
    for entry, seconds_left in given.get("timeouts", {}).items():
        _require_timeout(name, int(seconds_left))
        asked |= read_entries([str(entry)], "timeouts", int(seconds_left))
    less = read_entries(given.get("without", []), "without")
    path = _kept_file(name)
    kept = None if name == "ban" else host.text(path)
    before, read_back = _before(host, name, kept or "")
    after = {
        "present": lambda: added(name, removed(before, less) if less else before, asked),
        "absent": lambda: removed(before, asked),
        "exact": lambda: without_overlap(name, asked),
    }[state]()
    new = None if name == "ban" else full_script(name, after)
    stale = new is not None and kept != new and bool(after or kept)
    plus, minus = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    found = {"entries": len(after), "added": plus, "removed": minus}
    known = read_back or bool(_still_loaded(host, name))
    found |= {"changed": before != after or stale or not known}
    if check or not found["changed"]:
        return found
    if name != "allow" and connection:
        _require_way_in(host, after, connection)
    change = script(name, before, after) if read_back else full_script(name, after)
    since = _nftables_generation.mark()
    if change:
        host.output([_NFT, "-f", "-"], stdin=change, timeout=_TIMEOUT)
    if stale and new is not None:
        replace_file(host, path, new.encode(), 0o600)
    if len(after) > _READ_BACK:
        _note_loaded(host, name, since, len(after))
    return found


# --- long lists: a million entries take half a gigabyte in Python, and as much in nft


def _is_long(given: dict[str, Any]) -> bool:
    """Whether a whole list comes from a file that is too long to be compared with the kernel."""
    if given["state"] != "exact" or given["list"] == "ban" or given["src"] is None:
        return False
    try:
        return Path(given["src"]).stat().st_size > _LONG_FILE
    except OSError:
        return False  # told where it is read


def _replace_long(
    host: Host, given: dict[str, Any], connection: Address | None, *, check: bool
) -> dict[str, Any]:
    """Have a child make the file for the next boot, and nft load that very file.

    The child's memory is free again when nft takes its own. Where the kernel still holds what was
    loaded from the same file, that file is all that is read.
    """
    name = given["list"]
    _require_timeout(name, given["timeout"])
    known = _still_loaded(host, name)
    if known and known["asked"] and known["asked"] == _checksum(given["src"]):
        return {"entries": known["entries"], "added": 0, "removed": 0, "changed": False}
    path = _kept_file(name)
    staged = f"{host.real(path)}.ringfence-new"
    os.makedirs(os.path.dirname(staged), mode=0o755, exist_ok=True)
    address = None if name == "allow" else connection
    try:
        found = _in_child(lambda: _prepare_long(host, given, path, staged, address))
        cover, asked = found.pop("cover"), found.pop("asked")
        if cover and address:
            _refuse_unless_let_in(host, cover, address)
        differs = found["changed"]
        found["changed"] = differs or not known
        if check or not found["changed"]:
            return found
        since = _nftables_generation.mark()
        host.output([_NFT, "-f", staged], timeout=_TIMEOUT)
        if differs:
            os.replace(staged, host.real(path))
        _note_loaded(host, name, since, found["entries"], asked)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged)
    return found


def _kept_file(name: str) -> str:
    """What is loaded at the next boot."""
    return f"{_FOLDER}/{name}.nft"


def _note_loaded(
    host: Host,
    name: str,
    since: _nftables_generation.Mark | None,
    entries: int,
    asked: str = "",
) -> None:
    """Keep that the kernel holds what the file for the next boot holds, and what that came from.

    Only where nothing else was changed between `since` and now.
    """
    now, kept = _nftables_generation.mark(), _checksum(host.real(_kept_file(name)))
    if since is None or now != since.next() or not kept:
        return
    text = json.dumps({"mark": now, "kept": kept, "asked": asked, "entries": entries})
    replace_file(host, f"{LOADED}/{name}.json", text.encode(), 0o600)


def _still_loaded(host: Host, name: str) -> dict[str, Any]:
    """The note on a list, if the kernel and the file still hold what they held then; else empty."""
    try:
        note: dict[str, Any] = json.loads(host.text(f"{LOADED}/{name}.json") or "{}")
    except ValueError:
        return {}
    now = _nftables_generation.mark()
    if now is None or note.get("mark") != list(now):
        return {}
    return note if note.get("kept") == _checksum(host.real(_kept_file(name))) else {}


def _checksum(path: str) -> str:
    """Of a file; nothing where it cannot be read, which is like no other file."""
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return ""


def _prepare_long(
    host: Host, given: dict[str, Any], path: str, staged: str, connection: Address | None
) -> dict[str, Any]:
    """Write what nft is to load; counts against the file that is there; who is hit of us."""
    name = given["list"]
    data = _bytes_of(given["src"])
    asked = hashlib.sha256(data).hexdigest()
    entries = read_entries(_lines(data), given["src"], 0)
    del data
    cover = None
    if connection is not None and not connection.is_loopback:
        text = str(connection)
        nets = Networks(entry for entry in entries if "/" in entry)
        cover = text if text in entries else nets.covering(connection)
    groups: dict[str, list[str]] = {set_name: [] for set_name in sets_of(name)}
    for entry in entries:
        groups[set_of(name, entry)].append(entry)
    total = len(entries)
    del entries
    with open(staged, "w", encoding="ascii") as handle:
        os.fchmod(handle.fileno(), 0o600)
        handle.writelines(f"flush set {TABLE} {set_name}\n" for set_name in groups)
        for set_name, rows in groups.items():
            rows.sort()
            if rows:
                handle.write(f"add element {TABLE} {set_name} {{\n")
                handle.write(",\n".join(rows))
                handle.write("\n}\n")
    new = {row for rows in groups.values() for row in rows}
    groups.clear()
    plus, minus = len(new), 0
    for row in parse_full_script(host.text(path) or ""):
        if row in new:
            plus -= 1
        else:
            minus += 1
    counted = {"entries": total, "added": plus, "removed": minus, "changed": bool(plus or minus)}
    return {**counted, "cover": cover, "asked": asked}


def _in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of `work`, done in a process of its own; its ListError and HostError are ours."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            try:
                said: dict[str, Any] = {"found": work()}
            except (ListError, HostError, OSError, ValueError) as error:
                said = {"kind": type(error).__name__, "error": str(error)}
            with os.fdopen(writer, "w") as pipe:
                json.dump(said, pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(text or '{"kind": "HostError", "error": "the list could not be made"}')
    if "error" in answer:
        kind = ListError if answer["kind"] == "ListError" else HostError
        raise kind(answer["error"])
    found: dict[str, Any] = answer["found"]
    return found


def _before(host: Host, name: str, kept: str) -> tuple[Entries, bool]:
    """What the list holds, and whether that was read back from the kernel.

    The kernel lists a hash set in a time that grows with the square of its size: under a second for
    100,000 entries, a minute for a million. So a long list is taken from its file, and is loaded
    anew unless nothing of nftables was changed since that file was loaded.
    """
    entries = dict.fromkeys(parse_full_script(kept), 0)
    if len(entries) > _READ_BACK:
        return entries, False
    return {row.entry: row.given for row in live(host, name)}, True


def _asked(given: dict[str, Any], timeout: int) -> Entries:
    source = given["src"]
    if source is None:
        return read_entries(given["entries"], "entries", timeout)
    return read_entries(_lines(_bytes_of(source)), source, timeout)


def _bytes_of(source: str) -> bytes:
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ListError(f"{source} cannot be read: {error.strerror}") from error


def _lines(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="ascii", errors="replace")


def _require_timeout(name: str, timeout: int) -> None:
    if timeout and name != "ban":
        raise ListError(f"timeout: only bans end by themselves, the list {name} does not")
    if not 0 <= timeout <= MAX_SECONDS:
        raise ListError(f"timeout: found {timeout}, expected 0 to {MAX_SECONDS} seconds")


def _require_way_in(host: Host, after: Entries, address: Address) -> None:
    """Management is never shut out; whoever else is connected now shall not be either."""
    text = str(address)
    cover = text if text in after else Networks(e for e in after if "/" in e).covering(address)
    if cover is None or address.is_loopback:
        return
    _refuse_unless_let_in(host, cover, address)


def _refuse_unless_let_in(host: Host, cover: str, address: Address) -> None:
    text = str(address)
    for prefix in ("zone_management", "allow"):
        element = ["get", "element", *TABLE.split(), f"{prefix}{address.version}", f"{{ {text} }}"]
        if host.run([_NFT, *element]).rc == 0:
            return
    raise ListError(
        f"refused, nothing changed: {cover} holds {text}, which this connection comes from "
        "and which is neither a management address nor on the allow list"
    )
