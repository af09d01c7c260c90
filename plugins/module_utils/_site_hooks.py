# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one line that lets drop-in files into a site: where it belongs, put in, taken out.

nginx and Apache read nothing into a site's block that the block does not include itself. The line
names a folder of ours and is told by that; taking it out leaves the file byte for byte as it was.
Where it cannot be said for sure which blocks are the site's, nothing is guessed: HookError.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _nginx
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

NGINX_FOLDER = "/etc/nginx/ringfence"
APACHE_FOLDER = "/etc/apache2/ringfence"
APACHE_MAIN = "/etc/apache2/apache2.conf"
# Apache's later sections and earlier rewrites win: a site has a place before all and one after.
BEFORE, AFTER = "before", "after"

_NAME = r"[a-z0-9_]+?__[a-z0-9_]+"
_NGINX_HOOK = re.compile(rf"\n[ \t]*include {NGINX_FOLDER}/({_NAME})/\*\.conf;")
_APACHE_HOOK = re.compile(
    rf"\n[ \t]*IncludeOptional {APACHE_FOLDER}/({_NAME})/(?:{BEFORE}|{AFTER})/\*\.conf(?=\n|$)"
)
_OPENING = re.compile(r"server(?:\s|#[^\n]*\n)*\{")
_SECTION = re.compile(r"^[ \t]*<(/?)VirtualHost\b[^\n]*", re.IGNORECASE | re.MULTILINE)
_NAMED = re.compile(r"^[ \t]*Server(?:Name|Alias)[ \t]+([^\n]*)", re.IGNORECASE | re.MULTILINE)
_INCLUDE = re.compile(
    r"^[ \t]*Include(?:Optional)?[ \t]+\"?([^\"\n]+?)\"?[ \t]*$", re.IGNORECASE | re.MULTILINE
)
_MAX_FILES = 5000
_MAX_DEPTH = 16


class HookError(Exception):
    """Why the blocks of a site cannot be named, in one line."""


class Block(NamedTuple):
    """A server block or virtual host: its names, and where in the file our lines belong."""

    path: str
    line: int
    names: tuple[str, ...]
    spots: tuple[tuple[int, str], ...]  # offset in the text, and the line to put there
    patterns: bool = False

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"


def name_of(site: Mapping[str, object]) -> str:
    """How a site's folder is called: client__site."""
    return f"{site['client']}__{site['id']}"


# --- which blocks are a site's


def chosen(
    blocks: Iterable[Block], domains: Iterable[str], others: Iterable[str], server: str
) -> list[Block]:
    """The blocks that serve `domains`; `others` are those of other sites of the host.

    Raises HookError where a domain is served by no block that names it, or by one shared with
    another site.
    """
    listed, mine, strange = list(blocks), list(domains), set(others)
    found: dict[tuple[str, int], Block] = {}
    for domain in mine:
        holders = [block for block in listed if domain in block.names]
        holders = holders or [block for block in listed if _covers(block, domain)]
        if not holders:
            raise HookError(_not_named(listed, domain, server))
        found |= {(block.path, block.line): block for block in holders}
    for block in found.values():
        named = {name for other in listed for name in other.names}
        shared = sorted(
            name
            for name in strange
            if name in block.names or (name not in named and _covers(block, name))
        )
        if shared:
            raise HookError(
                f"{block.place} serves {shared[0]} of another site as well: "
                "expected a block of its own"
            )
    return list(found.values())


def _covers(block: Block, domain: str) -> bool:
    return any(
        domain.endswith(name[1:]) and domain != name[2:]
        for name in block.names
        if name.startswith("*.")
    )


def _not_named(blocks: list[Block], domain: str, server: str) -> str:
    kind = "server block of nginx" if server == "nginx" else "virtual host of Apache"
    said = f"no {kind} names {domain}"
    unsure = next((block for block in blocks if block.patterns), None)
    return f"{said}; {unsure.place} may match it by a pattern" if unsure else said


# --- nginx


def nginx_blocks(host: Host) -> list[Block]:
    """Every server block of http, at its real path. Raises HostError."""
    configuration = _nginx.read(host)
    found: dict[tuple[str, int], Block] = {}
    for server in configuration.servers():
        path = _real(host, server.block.path)
        names = tuple(_expanded(server.names))
        patterns = any(name.startswith("~") for name in server.names)
        block = Block(path, server.block.line, names, (), patterns)
        opening = _OPENING.match(host.text(path) or "", server.block.start)
        if opening is None:
            raise HostError(f"{block.place} cannot be understood: expected server {{")
        spots = ((opening.end(), f"\n    include {NGINX_FOLDER}/@/*.conf;"),)
        found[path, server.block.start] = block._replace(spots=spots)
    return list(found.values())


def _expanded(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name.startswith("."):
            yield name[1:]
            yield f"*{name}"
        elif name and not name.startswith("~"):
            yield name


def nginx_takes_http_files(host: Host) -> bool:
    """Whether http takes in conf.d/*.conf."""
    return _nginx.takes_our_drop_in(host, _nginx.read(host))


# --- Apache


def apache_blocks(host: Host) -> list[Block]:
    """Every virtual host of the files that Apache reads, at its real path. Raises HostError."""
    found = []
    for path in _apache_files(host):
        text = host.text(path) or ""
        opened = None
        for match in _SECTION.finditer(_without_comments(text)):
            if not match[1]:
                opened = match
            elif opened is not None:
                found.append(_virtual_host(path, text, opened, match))
                opened = None
        if opened is not None:
            line = 1 + text.count("\n", 0, opened.start())
            raise HostError(f"{path}:{line} cannot be understood: its section is not closed")
    return found


def _virtual_host(path: str, text: str, opened: re.Match[str], closed: re.Match[str]) -> Block:
    body = _without_comments(text)[opened.end() : closed.start()].replace("\\\n", "  ")
    words = [
        word.strip('"').lower() for match in _NAMED.finditer(body) for word in match[1].split()
    ]
    names = tuple(re.sub(r"^[a-z]+://|:\d+$", "", word) for word in words)
    hook = f"\n    IncludeOptional {APACHE_FOLDER}/@/%s/*.conf"
    # The line before </VirtualHost> ends where that one begins.
    spots = ((opened.end(), hook % BEFORE), (closed.start() - 1, hook % AFTER))
    patterns = any("$" in name or "?" in name for name in names)
    return Block(path, 1 + text.count("\n", 0, opened.start()), names, spots, patterns)


def _without_comments(text: str) -> str:
    """`text` with each comment line blanked; every offset stays."""
    return re.sub(r"^[ \t]*#[^\n]*", lambda match: " " * len(match[0]), text, flags=re.MULTILINE)


def _apache_files(host: Host) -> list[str]:
    found: dict[str, None] = {}

    def follow(path: str, depth: int) -> None:
        real = _real(host, path)
        if depth > _MAX_DEPTH or len(found) > _MAX_FILES:
            raise HostError(f"{path}: includes nest too deep or are too many")
        text = host.text(real)
        if text is None or real in found:
            return
        found[real] = None
        for match in _INCLUDE.finditer(_without_comments(text)):
            for inner in _apache_included(host, match[1]):
                follow(inner, depth + 1)

    follow(APACHE_MAIN, 0)
    return list(found)


def _apache_included(host: Host, pattern: str) -> list[str]:
    if "${" in pattern:
        return []
    pattern = pattern if pattern.startswith("/") else f"{os.path.dirname(APACHE_MAIN)}/{pattern}"
    if os.path.isdir(host.real(pattern)):
        pattern = f"{pattern.rstrip('/')}/*"
    try:
        found = host.glob(pattern)
    except (ValueError, NotImplementedError, OSError) as error:
        raise HostError(f"{pattern} cannot be followed: {error}") from error
    return [path for path in found if os.path.isfile(host.real(path))]


# --- the lines


def edited(
    text: str,
    path: str,
    wanted: Mapping[str, Iterable[Block]],
    kept: Collection[str],
    hooked: re.Pattern[str],
) -> str:
    """The text of one file with our lines exactly in the blocks of `wanted` (site -> blocks).

    The lines of the sites in `kept` are left as they are.
    """
    insertions = [
        (offset, line.replace("@", name))
        for name, blocks in wanted.items()
        for block in blocks
        if block.path == path
        for offset, line in block.spots
    ]
    cuts = [match.span() for match in hooked.finditer(text) if match[1] not in kept]
    adding = []
    for offset, line in insertions:
        there = next((cut for cut in cuts if _is_it(cut, text, offset, line)), None)
        if there is None:
            adding.append((offset, offset, line))
        else:
            cuts.remove(there)
    result, done = "", 0
    for start, end, new in sorted([*((start, end, "") for start, end in cuts), *adding]):
        result += text[done:start] + new
        done = end
    return result + text[done:]


def _is_it(cut: tuple[int, int], text: str, offset: int, line: str) -> bool:
    """Whether a line of ours that is there is the one that belongs at `offset`."""
    return offset in cut and text[slice(*cut)].strip() == line.strip()


def nginx_edit(
    text: str, path: str, wanted: Mapping[str, Iterable[Block]], kept: Collection[str]
) -> str:
    """See `edited`."""
    return edited(text, path, wanted, kept, _NGINX_HOOK)


def apache_edit(
    text: str, path: str, wanted: Mapping[str, Iterable[Block]], kept: Collection[str]
) -> str:
    """See `edited`."""
    return edited(text, path, wanted, kept, _APACHE_HOOK)


def nginx_files(host: Host) -> list[str]:
    """The real path of every file nginx reads."""
    return list(dict.fromkeys(_real(host, path) for path in _nginx.read(host).files))


def apache_files(host: Host) -> list[str]:
    """The real path of every file Apache reads."""
    return _apache_files(host)


def _real(host: Host, path: str) -> str:
    """Where a file lies that is reached by a link, such as one in sites-enabled."""
    found = os.path.realpath(host.real(path))
    return found.removeprefix(host.root) if host.root else found
