# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads this machine's apt sources, to build test hosts from the same mirror."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fleet.command import FleetError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<rest>.+)")
_KEPT_OPTIONS = re.compile(
    r'Acquire::(?:https?::Proxy(?:::\S+)?|Check-Valid-Until|Check-Date) ".*";'
)


@dataclass(frozen=True)
class Source:
    """One package source: one address, one suite, its components."""

    uri: str
    suite: str
    components: tuple[str, ...]
    keyring: str = KEYRING

    def __str__(self) -> str:
        return f"deb [signed-by={self.keyring}] {self.uri} {self.suite} {' '.join(self.components)}"


def read_machine_sources(root: Path = Path("/etc/apt")) -> list[Source]:
    """All package sources of this machine, from both file formats, in file order."""
    found: list[Source] = []
    for path in [root / "sources.list", *sorted((root / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".list":
            found.extend(parse_one_line(text))
        elif path.suffix == ".sources":
            found.extend(parse_deb822(text))
    return found


def parse_one_line(text: str) -> Iterator[Source]:
    """Sources in the format of sources.list: `deb [options] URI SUITE COMPONENT…`."""
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if not match:
            continue
        words = match["rest"].split()
        if len(words) < 3:
            continue
        options = dict(
            option.split("=", 1) for option in (match["options"] or "").split() if "=" in option
        )
        yield Source(
            words[0].rstrip("/"), words[1], tuple(words[2:]), options.get("signed-by", KEYRING)
        )


def parse_deb822(text: str) -> Iterator[Source]:
    """Sources in the format of *.sources: stanzas of `Field: value`."""
    for stanza in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        keyring = fields.get("signed-by", KEYRING)
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield Source(
                    uri.rstrip("/"), suite, components, keyring if keyring[:1] == "/" else KEYRING
                )


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            if name:
                fields[name] = f"{fields[name]} {line.strip()}".strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def sources_for(release: str, machine: list[Source], codename: str) -> list[Source]:
    """The sources a host of `release` gets, on a machine that runs `codename`.

    Debian's own suites of the machine (the release, its updates, its security updates)
    become the same suites of the asked release, from the same mirrors. A machine that
    names none of them falls back to Debian's public mirror.
    """
    wanted = {codename: release}
    wanted |= {f"{codename}-{kind}": f"{release}-{kind}" for kind in ("updates", "security")}
    chosen = [
        Source(source.uri, wanted[source.suite], ("main",), source.keyring)
        for source in machine
        if source.suite in wanted and "main" in source.components
    ]
    if not any(source.suite == release for source in chosen):
        chosen = [
            Source(DEFAULT_MIRROR, release, ("main",)),
            Source(DEFAULT_MIRROR, f"{release}-updates", ("main",)),
            Source(f"{DEFAULT_MIRROR}-security", f"{release}-security", ("main",)),
        ]
    return list(dict.fromkeys(chosen))


def machine_codename(os_release: Path = Path("/etc/os-release")) -> str:
    """The codename of the Debian release that this machine runs, such as `bookworm`."""
    pairs = (line.partition("=") for line in os_release.read_text(encoding="utf-8").splitlines())
    values = {key: value.strip("\"' ") for key, _, value in pairs}
    if values.get("ID") != "debian" or "VERSION_CODENAME" not in values:
        raise FleetError(f"{os_release}: expected a Debian release; or name a base with --image")
    return values["VERSION_CODENAME"]


def apt_options(dump: str) -> list[str]:
    """What a host must share of this machine's apt settings (`apt-config dump`).

    Proxies and the checks of a mirror's dates: without them the mirror is out of reach.
    """
    return [line.strip() for line in dump.splitlines() if _KEPT_OPTIONS.fullmatch(line.strip())]
