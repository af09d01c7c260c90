# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What apt has on disk: its sources, the lists it fetched, and how Debian orders versions.

Nothing here runs apt: it would rewrite its caches, and takes longer than reading what is needed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

LISTS = "/var/lib/apt/lists"
_FOLDER = "/etc/apt/sources.list.d"
_FILE_NAME = re.compile(r"[A-Za-z0-9_.-]+\.(list|sources)")  # apt passes over all others
_ONE_LINE = re.compile(
    r"(?P<type>deb|deb-src)\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)"
    r"(?P<components>(?:\s+\S+)*)\s*"
)
_YES = {"yes", "true", "with", "on", "enable", "1"}
_NO = {"no", "false", "without", "off", "disable", "0"}
_HELPER = "/usr/lib/apt/apt-helper"
_SOURCES = "${db:Status-Status} ${source:Package}\n"
_PREFERENCES = "/etc/apt/preferences"
_PIN_FILE = re.compile(r"[A-Za-z0-9_-]+|[A-Za-z0-9_.-]+\.pref")  # apt passes over all others
_EXPLANATION = re.compile(r"(?im)^explanation:")  # may come more than once


class Source(NamedTuple):
    """One entry of a sources file; `options` by their deb822 names in small letters."""

    path: str
    line: int
    types: tuple[str, ...]
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: dict[str, str]

    def is_set(self, option: str) -> bool | None:
        """Whether a yes-or-no option is on; None where it is not given. Raises HostError."""
        given = self.options.get(option)
        if given is None:
            return None
        if given.lower() not in _YES | _NO:
            raise HostError(f"{self.path}:{self.line}: {option} is neither yes nor no: {given!r}")
        return given.lower() in _YES

    def hosts(self) -> list[str]:
        """The names of the servers; of a source on disk, its scheme."""
        return [urlsplit(uri).hostname or uri.partition(":")[0] for uri in self.uris]


def codename(host: Host) -> str:
    """The name of the host's release, such as bookworm; "" where it has none."""
    for line in (host.text("/etc/os-release") or "").splitlines():
        key, _equals, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip("\"'")
    return ""


def configuration(host: Host) -> str:
    """What `apt-config dump` says is in force, one option a line. Raises HostError."""
    text = host.once("apt-config dump", lambda: host.output(["apt-config", "dump"]))
    if '";' not in text:
        raise HostError("apt-config dump says nothing that can be understood")
    return text


def sources(host: Host) -> list[Source]:
    """All sources that apt uses. Raises HostError for a line that cannot be understood."""
    return host.once("apt sources", lambda: list(_sources(host)))


def _sources(host: Host) -> Iterator[Source]:
    yield from parse_list(host.text("/etc/apt/sources.list") or "", "/etc/apt/sources.list")
    for name in host.names(_FOLDER):
        if _FILE_NAME.fullmatch(name):
            path = f"{_FOLDER}/{name}"
            parse = parse_list if name.endswith(".list") else parse_sources
            yield from parse(host.text(path) or "", path)


def parse_list(text: str, path: str) -> list[Source]:
    """The entries of a file in the one-line style. Raises HostError."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.partition("#")[0].strip()
        if not bare:
            continue
        match = _ONE_LINE.fullmatch(bare)
        if match is None or not _is_whole(match["suite"], match["components"].split()):
            raise HostError(f"{path}:{number}: is no source that can be understood")
        options = _one_line_options(match["options"] or "", f"{path}:{number}")
        components = tuple(match["components"].split())
        found.append(
            Source(
                path, number, (match["type"],), (match["uri"],), (match["suite"],), components,
                options,
            )
        )  # fmt: skip
    return found


def _one_line_options(text: str, where: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or not name.strip("+-"):
            raise HostError(f"{where}: {word!r} is no option of a source")
        options[name.rstrip("+-").lower()] = value
    return options


def parse_sources(text: str, path: str) -> list[Source]:
    """The entries of a file in the deb822 style, those that are switched off left out.

    Raises HostError.
    """
    found = []
    for start, fields in _stanzas(text, path):
        source = Source(
            path,
            start,
            tuple(fields.pop("types", "").split()),
            tuple(fields.pop("uris", "").split()),
            tuple(fields.pop("suites", "").split()),
            tuple(fields.pop("components", "").split()),
            fields,
        )
        if source.is_set("enabled") is False:
            continue
        known = set(source.types) <= {"deb", "deb-src"}
        if not (source.types and known and source.uris and source.suites):
            raise HostError(f"{path}:{start}: is no source that can be understood")
        if not all(_is_whole(suite, source.components) for suite in source.suites):
            raise HostError(f"{path}:{start}: a suite and its components do not fit together")
        found.append(source)
    return found


def _is_whole(suite: str, components: tuple[str, ...] | list[str]) -> bool:
    """A suite that is a path has no components, any other has some."""
    return suite.endswith("/") != bool(components)


def _stanzas(text: str, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line of its beginning, and fields in small letters, of each paragraph."""
    start, fields, last = 0, dict[str, str](), ""
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield start, fields
            start, fields, last = 0, {}, ""
        elif line[0] in " \t":
            if not last:
                raise HostError(f"{path}:{number}: continues nothing")
            fields[last] = f"{fields[last]}\n{line.strip()}".strip()
        else:
            name, colon, value = line.partition(":")
            last = name.strip().lower()
            if not colon or not last or last in fields:
                raise HostError(f"{path}:{number}: is no field that can be understood")
            start = start or number
            fields[last] = value.strip()


class Release(NamedTuple):
    """A list that was fetched: where its files begin, its fields, and until when it may be used."""

    prefix: str
    fields: dict[str, str]

    @property
    def is_security(self) -> bool:
        """Whether it says of itself that it brings security updates."""
        named = self.fields.get("suite", "").endswith("-security")
        return named or self.fields.get("label", "").lower() == "debian-security"

    def expired(self, now: datetime) -> bool:
        """Whether its own last day has passed. Raises HostError for a date that is none."""
        until = self.fields.get("valid-until")
        if until is None:
            return False
        try:
            ends = parsedate_to_datetime(until)
        except ValueError as error:
            raise HostError(f"{self.prefix}: Valid-Until is no date: {until!r}") from error
        return (ends if ends.tzinfo else ends.replace(tzinfo=UTC)) < now


def releases(host: Host) -> list[Release]:
    """What was fetched. Empty where nothing was."""
    return host.once("apt releases", lambda: list(_releases(host)))


def _releases(host: Host) -> Iterator[Release]:
    for name in host.names(LISTS):
        prefix, _underscore, kind = name.rpartition("_")
        if kind not in ("InRelease", "Release"):
            continue
        fields: dict[str, str] = {}
        for line in (host.text(f"{LISTS}/{name}") or "").splitlines()[:60]:
            key, colon, value = line.partition(": ")
            if colon and not key.startswith(" "):
                fields.setdefault(key.lower(), value.strip())
        yield Release(prefix, fields)


def package_lists(host: Host, prefix: str = "") -> list[bytes]:
    """The content of each fetched list of packages whose name begins so. Raises HostError."""
    names = [
        name
        for name in host.names(LISTS)
        if name.startswith(prefix) and re.search(r"_Packages(\.\w+)?$", name)
    ]
    plain = [host.read(f"{LISTS}/{name}") or b"" for name in names if name.endswith("_Packages")]
    packed = [f"{LISTS}/{name}" for name in names if not name.endswith("_Packages")]
    if packed:
        said = host.output([_HELPER, "cat-file", *packed])
        plain.append(said.encode("utf-8", "surrogateescape"))
    return plain


def newest(lists: list[bytes]) -> dict[str, str]:
    """Package -> its newest version in `lists`."""
    found: dict[str, str] = {}
    for data in lists:
        for paragraph in data.split(b"\n\n"):
            fields = dict(
                line.split(b": ", 1)
                for line in paragraph.split(b"\n")
                if line.startswith((b"Package: ", b"Version: "))
            )
            if len(fields) == 2:
                name = fields[b"Package"].decode("utf-8", "replace")
                version = fields[b"Version"].decode("utf-8", "replace")
                if name not in found or compare(version, found[name]) > 0:
                    found[name] = version
    return found


def source_packages(host: Host) -> set[str]:
    """The source packages of all that is installed. Raises HostError."""
    rows = (
        line.split(" ") for line in host.output(["dpkg-query", "-W", "-f", _SOURCES]).split("\n")
    )
    found = {row[1] for row in rows if len(row) == 2 and row[0] == "installed"}
    if not found:
        raise HostError("dpkg-query tells of no installed package")
    return found


class Pin(NamedTuple):
    """A paragraph of apt's preferences: where it stands, for what, and how strong it is."""

    path: str
    line: int
    packages: str
    priority: int


def pins(host: Host) -> list[Pin]:
    """What is preferred, by hand. Raises HostError for a paragraph that cannot be understood."""
    return host.once("apt pins", lambda: list(_pins(host)))


def _pins(host: Host) -> Iterator[Pin]:
    folder = f"{_PREFERENCES}.d"
    files = [f"{folder}/{name}" for name in host.names(folder) if _PIN_FILE.fullmatch(name)]
    for path in (_PREFERENCES, *files):
        text = _EXPLANATION.sub("#", host.text(path) or "")
        for start, fields in _stanzas(text, path):
            try:
                priority = int(fields["pin-priority"])
                yield Pin(path, start, fields["package"], priority)
            except (KeyError, ValueError) as error:
                raise HostError(f"{path}:{start}: is no pin that can be understood") from error


def names_in(lists: list[bytes]) -> set[str]:
    """The names of all packages in `lists`, of which there may be 100,000."""
    found: set[bytes] = set()
    for data in lists:
        if data.startswith(b"Package: "):
            found.add(data[9 : data.find(b"\n")])
        start = data.find(b"\nPackage: ")
        while start >= 0:
            end = data.find(b"\n", start + 10)
            found.add(data[start + 10 : end if end >= 0 else len(data)])
            start = data.find(b"\nPackage: ", start + 10)
    return {name.decode("utf-8", "replace") for name in found}


def compare(one: str, other: str) -> int:
    """Below 0, 0 or above 0: how dpkg orders two versions."""
    for mine, theirs in zip(_split(one), _split(other), strict=True):
        order = _compare_part(mine, theirs)
        if order:
            return order
    return 0


@functools.lru_cache(maxsize=4096)
def _split(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.strip().partition(":")
    if not colon:
        epoch, rest = "0", version.strip()
    upstream, _dash, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return epoch, upstream, revision


def _compare_part(one: str, other: str) -> int:
    """By turns what is no number, in dpkg's own order of characters, and what is one."""
    while one or other:
        text_one, text_other = (re.match(r"[^0-9]*", part) for part in (one, other))
        order = _compare_text(_said(text_one), _said(text_other))
        if order:
            return order
        one, other = one[len(_said(text_one)) :], other[len(_said(text_other)) :]
        digits_one, digits_other = (re.match(r"[0-9]*", part) for part in (one, other))
        order = int(_said(digits_one) or "0") - int(_said(digits_other) or "0")
        if order:
            return order
        one, other = one[len(_said(digits_one)) :], other[len(_said(digits_other)) :]
    return 0


def _said(match: re.Match[str] | None) -> str:
    return match[0] if match else ""


def _compare_text(one: str, other: str) -> int:
    for place in range(max(len(one), len(other))):
        order = _weight(one, place) - _weight(other, place)
        if order:
            return order
    return 0


def _weight(text: str, place: int) -> int:
    """A tilde comes before the end, letters before all other characters."""
    if place >= len(text):
        return 0
    character = text[place]
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
