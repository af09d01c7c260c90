# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The server blocks of an nginx configuration, read from its files.

`nginx -T` would print them too, but it opens logs and makes folders as it goes; reading changes
nothing, and works where the configuration has an error that nginx refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Read = Callable[[str], str]
Glob = Callable[[str], list[str]]

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<mark>[{};])"""
    r"""|(?P<word>(?:\\.|\$\{[^}]*\}|[^\s;{}\\])+)"""
)
_LUA = re.compile(r"""--[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[{}]""")
_MAX_DEPTH = 16
_MAX_FILES = 5000


@dataclass
class Directive:
    """`name args;` or `name args { children }`."""

    name: str
    args: list[str]
    children: list[Directive] = field(default_factory=list)

    def first(self, name: str) -> list[str]:
        """The arguments of the first `name` directly inside; empty where there is none."""
        return next((child.args for child in self.children if child.name == name), [])

    def all(self, name: str) -> Iterator[Directive]:
        """Every `name` inside, at any depth."""
        for child in self.children:
            if child.name == name:
                yield child
            yield from child.all(name)


def servers(path: str, read: Read, glob: Glob) -> list[dict[str, Any]]:
    """The `server` blocks of the `http` part.

    Each: names, root (or None), tls, listens, fastcgi (where PHP is passed to, or None), proxy.
    """
    budget = [_MAX_FILES]
    top = Directive("main", [], _included(path, read, glob, path.rpartition("/")[0], 0, budget))
    found = []
    for http in [child for child in top.children if child.name == "http"]:
        for server in http.all("server"):
            if server.children:  # `server address;` in an upstream block is none
                found.append(_server(server, http))
    return found


def _server(server: Directive, http: Directive) -> dict[str, Any]:
    listens = [child.args for child in server.children if child.name == "listen"]
    names = [
        name.lower() for child in server.children if child.name == "server_name"
        for name in child.args
    ]  # fmt: skip
    fastcgi = next((child.args for child in server.all("fastcgi_pass") if child.args), [])
    return {
        "names": names,
        "root": _root(server, http),
        "tls": any("ssl" in words for words in listens) or server.first("ssl") == ["on"],
        "fastcgi": fastcgi[0] if fastcgi else None,
        "proxy": any(server.all("proxy_pass")),
    }


def _root(server: Directive, http: Directive) -> str | None:
    whole = [
        location
        for location in server.children
        if location.name == "location" and location.args[-1:] == ["/"]
    ]
    for block in (server, *whole, http):
        words = block.first("root")
        if words:
            return words[0]
    return None


def _included(
    path: str, read: Read, glob: Glob, base: str, depth: int, budget: list[int]
) -> list[Directive]:
    if depth > _MAX_DEPTH or budget[0] <= 0:
        return []
    budget[0] -= 1
    found = []
    for directive in parse(read(path)):
        found += _resolved(directive, read, glob, base, depth, budget)
    return found


def _resolved(
    directive: Directive, read: Read, glob: Glob, base: str, depth: int, budget: list[int]
) -> list[Directive]:
    if directive.name == "include" and directive.args:
        pattern = directive.args[0]
        pattern = pattern if pattern.startswith("/") else f"{base}/{pattern}"
        return [
            inner
            for path in glob(pattern)
            for inner in _included(path, read, glob, base, depth + 1, budget)
        ]
    directive.children = [
        inner
        for child in directive.children
        for inner in _resolved(child, read, glob, base, depth, budget)
    ]
    return [directive]


def parse(text: str) -> list[Directive]:
    """The directives of a file, `include` left as it is. What is cut short is closed at the end."""
    stack: list[list[Directive]] = [[]]
    words: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:  # a lone backslash or quote: not ours to judge
            position += 1
            continue
        position = match.end()
        if match["quoted"]:
            words.append(re.sub(r"\\(.)", r"\1", match["quoted"][1:-1]))
        elif match["word"]:
            words.append(match["word"])
        elif match["mark"] == "{" and words and words[0].endswith("_by_lua_block"):
            position, words = _after_braces(text, position), []
        elif match["mark"]:
            words = _close(match["mark"], words, stack)
    return stack[0]


def _close(mark: str, words: list[str], stack: list[list[Directive]]) -> list[str]:
    directive = Directive(words[0], words[1:]) if words else None
    if directive and mark != "}":
        stack[-1].append(directive)
    if mark == "{":
        stack.append(directive.children if directive else [])
    elif mark == "}" and len(stack) > 1:
        stack.pop()
    return []


def _after_braces(text: str, position: int) -> int:
    """Past the brace that closes a block of Lua, whose strings and comments may hold braces."""
    depth = 1
    for match in _LUA.finditer(text, position):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return len(text)
