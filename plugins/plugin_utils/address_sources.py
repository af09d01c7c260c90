# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lists of addresses that come from elsewhere, as the controller keeps them: countries and feeds.

A folder of the controller holds, for each source, the list and a `.json` beside it that says where
and when it was got, its checksum, and how old it may become. A list whose checksum is another, or
that is too old, is not used: a block list of last year is worse than a line that says so.

    countries.csv, countries.json      first address, last address, code: a line each
    feeds/NAME.txt, feeds/NAME.json    an address or network a line
"""

from __future__ import annotations

import csv
import hashlib
import io
import ipaddress
import json
import re
import tarfile
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _address_lists, _nftables

Networks = tuple[_nftables.Network, ...]
_FEED = re.compile(r"[a-z][a-z0-9_]{0,39}")
# A file cut short, or another one altogether.
_FEWEST_COUNTRIES = 2
DEFAULT_MAX_AGE_DAYS = {"countries": 90, "feed": 7}


class SourceError(Exception):
    """Why a list cannot be used, in one line."""


class Joined(NamedTuple):
    """Networks of several lists, without overlap, and what is known of each list."""

    networks: Networks
    origin: dict[str, Any]


class Folder:
    """The lists in a folder of the controller."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser() if path else None
        self._about: dict[str, dict[str, Any]] = {}

    def countries(self, codes: Collection[str]) -> dict[str, Networks]:
        """Code -> networks, of `codes` alone. Raises SourceError; a code without any is absent."""
        if not codes:
            return {}
        data = self._read("countries", "countries.csv", datetime.now(UTC))
        return by_country(io.StringIO(data.decode("utf-8")), codes)

    def feed(self, name: str, now: datetime) -> Networks:
        """The networks of a feed. Raises SourceError."""
        data = self._read(f"the feed {name}", f"feeds/{name}.txt", now)
        lines = data.decode("utf-8", "replace").splitlines()
        return feed_networks(lines, name)

    def joined(self, codes: Collection[str], feeds: Collection[str], now: datetime) -> Joined:
        """All networks of some countries and feeds. Raises SourceError."""
        wanted, origin = sorted(set(codes)), {}
        countries = self.countries(wanted)
        for code in wanted:
            if code not in countries:
                raise SourceError(f"the country data know no {code}")
        networks = [network for rows in countries.values() for network in rows]
        if wanted:
            origin["countries"] = {"codes": wanted, **self._told("countries")}
        for name in sorted(set(feeds)):
            if not _FEED.fullmatch(name):
                raise SourceError(f"found the feed {name!r}, expected small letters, digits and _")
            networks += self.feed(name, now)
            origin[f"feed {name}"] = self._told(f"the feed {name}")
        return Joined(_nftables.collapse(networks), origin)

    def _told(self, what: str) -> dict[str, Any]:
        """What goes to hosts of what is known of a list that was read."""
        known = self._about[what]
        return {key: known[key] for key in ("source", "fetched", "sha256") if key in known}

    def _read(self, what: str, name: str, now: datetime) -> bytes:
        if self._path is None:
            raise SourceError(
                f"{what}: there is no folder of sources, expected hosted_site_sources"
            )
        path = self._path / name
        try:
            data = path.read_bytes()
            known = json.loads(path.with_suffix(".json").read_text("utf-8"))
        except FileNotFoundError as error:
            raise SourceError(
                f"{what}: there is no {error.filename}; playbooks/address_sources.yml fetches it"
            ) from None
        except (OSError, ValueError) as error:
            raise SourceError(f"{what}: {path} cannot be read: {error}") from None
        if hashlib.sha256(data).hexdigest() != known["sha256"]:
            raise SourceError(f"{what}: {path} is not what was fetched: its checksum is another")
        age = now - datetime.fromisoformat(known["fetched"].replace("Z", "+00:00"))
        if age > timedelta(days=known["max_age_days"]):
            raise SourceError(
                f"{what}: {path} is {age.days} days old, expected at most {known['max_age_days']}"
            )
        self._about[what] = known
        return data


def by_country(lines: Iterable[str], codes: Collection[str]) -> dict[str, Networks]:
    """Code -> networks from lines of first address, last address, code."""
    found: dict[str, list[_nftables.Network]] = {}
    for number, row in enumerate(csv.reader(lines), 1):
        if len(row) != 3:
            raise SourceError(f"countries, line {number}: expected first, last, code")
        if row[2] not in codes:
            continue
        try:
            first, last = ipaddress.ip_address(row[0]), ipaddress.ip_address(row[1])
            found.setdefault(row[2], []).extend(ipaddress.summarize_address_range(first, last))
        except (ValueError, TypeError) as error:
            raise SourceError(f"countries, line {number}: {error}") from None
    return {code: _nftables.collapse(networks) for code, networks in found.items()}


def feed_networks(lines: Iterable[str], name: str) -> Networks:
    """The networks of a feed's lines; # and ; begin a comment. Raises SourceError."""
    bare = (line.partition(";")[0] for line in lines)
    try:
        entries = _address_lists.read_entries(bare, f"feed {name}")
    except _address_lists.ListError as error:
        raise SourceError(str(error)) from error
    return _nftables.collapse(ipaddress.ip_network(entry) for entry in entries)


# --- keeping


class Kept(NamedTuple):
    """A list that may be kept: its file's name, what it holds, where it came from."""

    name: str
    data: bytes
    said: dict[str, Any]
    entries: int


def max_age(name: str) -> int:
    """How many days old a list may become unless something else is said."""
    return DEFAULT_MAX_AGE_DAYS["countries" if name == "countries" else "feed"]


def checked(name: str, data: bytes, said: dict[str, Any], sha256: str | None) -> Kept:
    """What was fetched, where it is whole and can be read. Raises SourceError.

    `name`: countries, or a feed's. `sha256`: of what was fetched, where it is known.
    """
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256.lower():
        raise SourceError(f"its sha256 is {found}, expected {sha256}")
    said = {**said, "fetched_sha256": found}
    if name != "countries":
        if not _FEED.fullmatch(name):
            raise SourceError("expected countries, or a name of small letters, digits and _")
        networks = feed_networks(data.decode("utf-8", "replace").splitlines(), name)
        if not networks:
            raise SourceError("it is empty: a feed that breaks down must not open what it closed")
        return Kept(f"feeds/{name}.txt", data, said, len(networks))
    text = b"".join(_csv_files(data))
    codes: set[str] = {row[2] for row in csv.reader(io.StringIO(text.decode("utf-8"))) if row[2:]}
    if len(codes) < _FEWEST_COUNTRIES:
        raise SourceError(f"it knows {len(codes)} countries, expected {_FEWEST_COUNTRIES} or more")
    by_country(io.StringIO(text.decode("utf-8")), {min(codes)})
    return Kept("countries.csv", text, said, text.count(b"\n"))


def _csv_files(data: bytes) -> list[bytes]:
    """The tables of addresses: of a package of npm, or the text itself."""
    if not data.startswith(b"\x1f\x8b"):
        return [data]
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            members = [
                archive.extractfile(member)
                for member in archive.getmembers()
                if re.search(r"-ipv[46]\.csv$", member.name)
            ]
            found = [handle.read() for handle in members if handle is not None]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise SourceError(f"the package cannot be read: {error}") from error
    if not found:
        raise SourceError("expected files that end in -ipv4.csv or -ipv6.csv in the package")
    return found


def keep(folder: Path, kept: Kept, max_age_days: int, *, write: bool = True) -> dict[str, Any]:
    """Write a list and what is known of it. Says whether it is another than before."""
    path = folder / kept.name
    known = {
        **kept.said,
        "sha256": hashlib.sha256(kept.data).hexdigest(),
        "fetched": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "max_age_days": max_age_days,
    }
    changed = not path.exists() or path.read_bytes() != kept.data
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
        about = json.dumps(known, indent=1, sort_keys=True).encode() + b"\n"
        for target, content in ((path, kept.data), (path.with_suffix(".json"), about)):
            staged = target.with_name(f"{target.name}.new")
            staged.write_bytes(content)
            staged.replace(target)
    return {"changed": changed, "entries": kept.entries, "path": str(path), **known}
