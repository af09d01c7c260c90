# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The virtual hosts of an Apache configuration, read from its files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

Read = Callable[[str], str]
Glob = Callable[[str], list[str]]

_VARIABLE = re.compile(r"\$\{([A-Za-z0-9_]+)\}")
_EXPORT = re.compile(r"^\s*export\s+([A-Za-z0-9_]+)=(\S*)", re.MULTILINE)
_FPM = re.compile(r"proxy:(unix:[^|]+|fcgi://[^/\"]+)", re.IGNORECASE)
_MAX_DEPTH = 16
_MAX_FILES = 5000


def virtual_hosts(path: str, environment: str, read: Read, glob: Glob) -> list[dict[str, Any]]:
    """The `<VirtualHost>` sections.

    `environment`: the text of Debian's envvars. Each: names, root (or None), tls, fastcgi (where
    PHP is passed to, or None), proxy, user (that the site runs as, or None).
    """
    state = _State(path, environment, read, glob)
    state.file(path, 0)
    return state.found


class _State:
    """What Apache knows as it reads its files from top to bottom."""

    def __init__(self, path: str, environment: str, read: Read, glob: Glob) -> None:
        self.read = read
        self.glob = glob
        self.root = path.rpartition("/")[0]
        self.variables = dict(_EXPORT.findall(environment))
        self.found: list[dict[str, Any]] = []
        self.current: dict[str, Any] | None = None
        self.files = 0

    def file(self, path: str, depth: int) -> None:
        """Follow one file."""
        self.files += 1
        if depth > _MAX_DEPTH or self.files > _MAX_FILES:
            return
        for line in _lines(self.read(path)):
            name, _space, rest = line.partition(" ")
            self.directive(name.lower(), self.substituted(rest.strip()), depth)

    def substituted(self, text: str) -> str:
        """`text` with the variables that are known."""
        return _VARIABLE.sub(lambda m: str(self.variables.get(m[1], m[0])), text)

    def directive(self, name: str, rest: str, depth: int) -> None:
        """Take in one directive."""
        if name in ("include", "includeoptional"):
            pattern = _first(rest)
            pattern = pattern if pattern.startswith("/") else f"{self.root}/{pattern}"
            for path in self.glob(pattern):
                self.file(path, depth + 1)
        elif name == "serverroot":
            self.root = _first(rest)
        elif name == "define" and rest:
            words = _words(rest)
            self.variables[words[0]] = words[1] if len(words) > 1 else ""
        elif name == "<virtualhost":
            self.current = _new(rest)
        elif name.startswith("</virtualhost"):
            self.found += [self.current] if self.current is not None else []
            self.current = None
        elif self.current is not None:
            _note(self.current, name, rest)


def _new(addresses: str) -> dict[str, Any]:
    tls = bool(re.search(r":443\b", addresses))
    return {"names": [], "root": None, "tls": tls, "fastcgi": None, "proxy": False, "user": None}


def _note(site: dict[str, Any], name: str, rest: str) -> None:
    names: list[str] = site["names"]
    if name == "servername":
        names.insert(0, _host_part(_first(rest)))
    elif name == "serveralias":
        names += [_host_part(word) for word in _words(rest)]
    elif name == "documentroot":
        site["root"] = _first(rest)
    elif name == "sslengine":
        site["tls"] = rest.lower() == "on"
    elif name in ("sethandler", "proxypassmatch") and _FPM.search(_as_handler(name, rest)):
        match = _FPM.search(_as_handler(name, rest))
        site["fastcgi"] = match[1] if match else None
    elif name == "proxypass":
        site["proxy"] = True
    elif name in ("assignuserid", "suexecusergroup"):
        site["user"] = _first(rest)


def _as_handler(name: str, rest: str) -> str:
    """ProxyPassMatch names the same place without the `proxy:` in front."""
    return rest if name == "sethandler" else re.sub(r"\b(unix:|fcgi://)", r"proxy:\1", rest)


def _host_part(name: str) -> str:
    """`https://Shop.example:443` is a legal ServerName for shop.example."""
    return re.sub(r":\d+$", "", re.sub(r"^[a-z]+://", "", name.lower()))


def _lines(text: str) -> Iterator[str]:
    joined = re.sub(r"\\\r?\n", " ", text)
    for line in joined.splitlines():
        stripped = " ".join(line.split())
        if stripped and not stripped.startswith("#"):
            yield stripped.rstrip(">") if stripped.startswith("<") else stripped


def _words(text: str) -> list[str]:
    with suppress(ValueError):
        return shlex.split(text)
    return text.split()


def _first(text: str) -> str:
    words = _words(text)
    return words[0] if words else ""
