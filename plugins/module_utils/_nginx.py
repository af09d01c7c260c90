# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The configuration of nginx as nginx reads it: files and their includes, blocks, inheritance.

Read from the files, not from `nginx -T`, which opens logs and makes folders as it goes; that way
each directive keeps its file and line. What nginx would refuse, or we cannot follow, is a
HostError: nothing is judged by a configuration of which a part was skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

MAIN = "/etc/nginx/nginx.conf"
DROP_IN = "/etc/nginx/conf.d/00-ringfence.conf"
SNIPPET = "/etc/nginx/snippets/ringfence-site.conf"

_MAX_DEPTH = 16
_MAX_FILES = 5000
_ESCAPE = re.compile(r"\\([\"'\\trn])")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
_WORD = re.compile(r"(?:\\.|\$\{|[^\s;{\\]|\\$)+", re.DOTALL)
_QUOTED = {
    '"': re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL),
    "'": re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL),
}
_BLANK = re.compile(r"(?:\s+|#[^\n]*)+")
_LUA = re.compile(r"""--[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[{}]""")

Read = Callable[[str], "str | None"]


@dataclass
class Directive:
    """`name args;` or `name args { children }`, and where it stands: text[start:end] of path."""

    name: str
    args: list[str]
    path: str
    line: int
    start: int
    end: int = 0
    block: bool = False
    children: list[Directive] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    def own(self, name: str) -> list[Directive]:
        """Every `name` directly inside."""
        return [child for child in self.children if child.name == name]


class Server(NamedTuple):
    """A server block and the blocks around it, outermost first: main, http."""

    block: Directive
    around: tuple[Directive, ...]

    @property
    def names(self) -> list[str]:
        return [name.lower() for d in self.block.own("server_name") for name in d.args]

    @property
    def label(self) -> str:
        """How a message calls it."""
        named = [name for name in self.names if name not in ("", "_")]
        return named[0] if named else "the server without a name"

    @property
    def listens(self) -> list[list[str]]:
        return [d.args for d in self.block.own("listen") if d.args] or [["*:80"]]

    @property
    def tls(self) -> bool:
        return any("ssl" in words[1:] or "quic" in words[1:] for words in self.listens)

    @property
    def chain(self) -> tuple[Directive, ...]:
        return (*self.around, self.block)


class Configuration(NamedTuple):
    """All of it: `main` holds everything, includes in their place; `files` is what was read."""

    main: Directive
    files: tuple[str, ...]

    def servers(self) -> list[Server]:
        """The server blocks of http, in the order in which nginx meets them."""
        return [
            Server(server, (self.main, http))
            for http in self.main.own("http")
            for server in http.own("server")
        ]


def read(host: Host) -> Configuration:
    """The configuration of the host, read once a run. Raises HostError."""
    return host.once("nginx configuration", lambda: _read(host, host.text))


def _read(host: Host, text_of: Read) -> Configuration:
    reader = _Reader(host, text_of)
    main = Directive("", [], MAIN, 0, 0, block=True)
    main.children = reader.file(MAIN, 0)
    return Configuration(main, tuple(reader.files))


class _Reader:
    def __init__(self, host: Host, text_of: Read) -> None:
        self.host = host
        self.text_of = text_of
        self.files: list[str] = []

    def file(self, path: str, depth: int) -> list[Directive]:
        if depth > _MAX_DEPTH or len(self.files) >= _MAX_FILES:
            raise HostError(f"{path}: includes nest too deep or are too many")
        text = self.text_of(path)
        if text is None:
            raise HostError(f"{path} is not there")
        self.files.append(path)
        return self.resolved(parse(text, path), depth)

    def resolved(self, directives: list[Directive], depth: int) -> list[Directive]:
        found: list[Directive] = []
        for directive in directives:
            if directive.name == "include":
                for path in included(self.host, directive):
                    found += self.file(path, depth + 1)
                continue
            directive.children = self.resolved(directive.children, depth)
            found.append(directive)
        return found


def included(host: Host, directive: Directive) -> list[str]:
    """The files that an `include` takes in, in nginx's order."""
    if len(directive.args) != 1:
        raise HostError(f"{directive.place} cannot be understood: include takes one file")
    pattern = directive.args[0]
    if not pattern.startswith("/"):
        pattern = f"{os.path.dirname(MAIN)}/{pattern}"
    if "\0" in pattern:
        raise HostError(f"{directive.place} cannot be followed: a name with a null byte")
    if not re.search(r"[*?\[]", pattern):
        return [pattern]
    try:
        found = host.glob(pattern)
    except (ValueError, NotImplementedError, OSError) as error:
        raise HostError(f"{directive.place} cannot be followed: {error}") from error
    hidden = os.path.basename(pattern).startswith(".")
    return [path for path in found if hidden or not os.path.basename(path).startswith(".")]


def parse(text: str, path: str) -> list[Directive]:
    """The directives of one file, `include` left as it is. Raises HostError with file and line."""
    return _Parser(text, path).directives()


class _Parser:
    def __init__(self, text: str, path: str) -> None:
        self.text = text.replace("\ufeff", " ", 1) if text.startswith("\ufeff") else text
        self.path = path
        self.position = 0
        self._counted = (0, 1)

    def directives(self) -> list[Directive]:
        top = Directive("", [], self.path, 0, 0, block=True)
        stack = [top]
        while self._more():
            if self.text[self.position] == "}":
                self.position += 1
                if len(stack) == 1:
                    raise self._error('unexpected "}"')
                stack.pop().end = self.position
                continue
            directive = self._directive()
            stack[-1].children.append(directive)
            if directive.block and not directive.end:
                stack.append(directive)
        if len(stack) > 1:
            raise HostError(f"{stack[-1].place} cannot be understood: its block is not closed")
        return top.children

    def _directive(self) -> Directive:
        start, line = self.position, self._line()
        words = self._words()
        if not words:
            raise self._error(f'unexpected "{self.text[self.position]}"')
        directive = Directive(words[0], words[1:], self.path, line, start)
        directive.block = self.text[self.position] == "{"
        self.position += 1
        if not directive.block:
            directive.end = self.position
        elif words[0].endswith("_by_lua_block"):
            directive.end = self.position = self._after_braces()
        return directive

    def _words(self) -> list[str]:
        words: list[str] = []
        while self._more():
            mark = self.text[self.position]
            if mark in ";{":
                return words
            if mark == "}":
                break
            words.append(self._quoted(mark) if mark in _QUOTED else self._bare())
        raise self._error('expected ";"')

    def _quoted(self, mark: str) -> str:
        match = _QUOTED[mark].match(self.text, self.position)
        if match is None:
            raise self._error("a quotation mark is not closed")
        self.position = match.end()
        if self.text[self.position : self.position + 1] not in ("", ";", "{", ")", " ") and (
            not self.text[self.position].isspace()
        ):
            raise self._error("text goes on right after a quotation mark")
        return _unescaped(match[1])

    def _bare(self) -> str:
        match = _WORD.match(self.text, self.position)
        if match is None:
            raise self._error(f'unexpected "{self.text[self.position]}"')
        self.position = match.end()
        return _unescaped(match[0])

    def _more(self) -> bool:
        """Past blanks and comments; whether something is left."""
        match = _BLANK.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return self.position < len(self.text)

    def _after_braces(self) -> int:
        """Past the brace that closes a block of Lua, whose strings and comments may hold braces."""
        depth = 1
        for match in _LUA.finditer(self.text, self.position):
            depth += {"{": 1, "}": -1}.get(match[0], 0)
            if depth == 0:
                return match.end()
        raise self._error("a block of Lua is not closed")

    def _line(self) -> int:
        at, lines = self._counted
        lines += self.text.count("\n", at, self.position)
        self._counted = (self.position, lines)
        return lines

    def _error(self, what: str) -> HostError:
        return HostError(f"{self.path}:{self._line()} cannot be understood: {what}")


def _unescaped(word: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), word)


def in_force(name: str, chain: tuple[Directive, ...]) -> list[Directive]:
    """What `name` is in the innermost block of `chain`: of the nearest block that sets it."""
    for block in reversed(chain):
        found = block.own(name)
        if found:
            return found
    return []


def inner_blocks(chain: tuple[Directive, ...]) -> Iterator[tuple[Directive, ...]]:
    """The chain of each location, `if` and limit_except below the last block of `chain`."""
    for child in chain[-1].children:
        if child.name in ("location", "if", "limit_except") and child.block:
            yield (*chain, child)
            yield from inner_blocks((*chain, child))


def settings(
    configuration: Configuration, name: str, *, tls: bool = False, inner: bool = True
) -> list[tuple[str, list[Directive]]]:
    """Each server (with `tls`: those that serve it) and what `name` is there; [] is the default.

    With `inner` also the blocks inside that set it for themselves. Where there is no such server,
    what a new one would inherit, under "http".
    """
    found: list[tuple[str, list[Directive]]] = []
    for server in configuration.servers():
        if tls and not server.tls:
            continue
        found.append((server.label, in_force(name, server.chain)))
        for chain in inner_blocks(server.chain) if inner else ():
            own = chain[-1].own(name)
            if own:
                found.append((server.label, own))
    if found:
        return found
    https = configuration.main.own("http")
    return [("http", in_force(name, (configuration.main, *https[:1])))]


def takes_our_drop_in(host: Host, configuration: Configuration) -> bool:
    """Whether http takes in conf.d/*.conf, by what the files themselves say."""
    patterns = (
        include.args[0]
        for path in configuration.files
        for http in _https(parse(host.text(path) or "", path))
        for include in http.own("include")
        if include.args
    )
    taken = ("/etc/nginx/conf.d/*.conf", "conf.d/*.conf", DROP_IN)
    return any(pattern in taken for pattern in patterns)


def _https(directives: list[Directive]) -> Iterator[Directive]:
    return (directive for directive in directives if directive.name == "http")


def flattened(host: Host, contents: dict[str, bytes]) -> tuple[str, list[tuple[str, int]]]:
    """The configuration as it would be with `contents` (path -> bytes), as one file; and for each
    of its lines the file and line that it came from."""

    def text_of(path: str) -> str | None:
        new = contents.get(path)
        return host.text(path) if new is None else new.decode("utf-8", "surrogateescape")

    pieces: list[tuple[str, str, int]] = []
    _flatten(host, text_of, contents, MAIN, 0, pieces)
    text, origins = "", [(MAIN, 1)]
    for piece, path, line in pieces:
        origins[-1] = (path, line)
        origins += [(path, line + n) for n in range(1, piece.count("\n") + 1)]
        text += piece
    return text, origins


def _flatten(
    host: Host,
    text_of: Read,
    contents: dict[str, bytes],
    path: str,
    depth: int,
    pieces: list[tuple[str, str, int]],
) -> None:
    if depth > _MAX_DEPTH or len(pieces) > _MAX_FILES:
        raise HostError(f"{path}: includes nest too deep or are too many")
    text = text_of(path)
    if text is None:
        raise HostError(f"{path} is not there")
    done = 0
    for include in _all_includes(parse(text, path)):
        pieces.append((text[done : include.start], path, 1 + text.count("\n", 0, done)))
        for inner in _included_with(host, include, contents):
            _flatten(host, text_of, contents, inner, depth + 1, pieces)
        done = include.end
    pieces.append((text[done:] + "\n", path, 1 + text.count("\n", 0, done)))


def _included_with(host: Host, include: Directive, contents: dict[str, bytes]) -> list[str]:
    found = set(included(host, include))
    takes = "".join(include.args)
    if takes in ("/etc/nginx/conf.d/*.conf", "conf.d/*.conf") and DROP_IN in contents:
        found.add(DROP_IN)
    return sorted(found)


def _all_includes(directives: list[Directive]) -> Iterator[Directive]:
    for directive in directives:
        if directive.name == "include":
            yield directive
        else:
            yield from _all_includes(directive.children)
