# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The configuration of Apache as Apache reads it: files, includes, conditions, macros, sections.

Read from the files: Apache tells which virtual hosts it has, and not what is in force in them.
Each directive keeps its file and line. What Apache would refuse, or we cannot follow, is a
HostError: nothing is judged by a configuration of which a part was skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _web
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Stage
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

FOLDER = "/etc/apache2"
MAIN = f"{FOLDER}/apache2.conf"
NAME = "zz-ringfence"
DROP_IN = f"{FOLDER}/conf-available/{NAME}.conf"
ENABLED = f"{FOLDER}/conf-enabled/{NAME}.conf"
# How far below a document root .htaccess files are read.
HTACCESS_DEPTH = 2

_MAX_DEPTH = 20
_MAX_FILES = 5000
_MAX_LINES = 500_000
_MAX_FOLDERS = 5000
_DEFAULT_ROOT = "/var/www/html"
_VARIABLE = re.compile(r"\$\{([^}:]+)\}")
_EXPORT = re.compile(r"^\s*export\s+([A-Za-z_][A-Za-z0-9_]*)=(.*?)\s*$", re.MULTILINE)
_CONDITIONS = ("ifmodule", "ifdefine", "ifversion", "iffile", "ifdirective", "ifsection")
_WILD = re.compile(r"[*?\[]")
# Built into Debian's program: identifier -> the source that <IfModule> may name instead.
_BUILT_IN = {
    "core_module": "core.c",
    "so_module": "mod_so.c",
    "watchdog_module": "mod_watchdog.c",
    "http_module": "http_core.c",
    "log_config_module": "mod_log_config.c",
    "logio_module": "mod_logio.c",
    "version_module": "mod_version.c",
    "unixd_module": "mod_unixd.c",
}
_SOURCES = {
    "mpm_prefork_module": "prefork.c",
    "mpm_event_module": "event.c",
    "mpm_worker_module": "worker.c",
    "php_module": "mod_php.c",
    "php7_module": "mod_php7.c",
    "socache_shmcb_module": "mod_socache_shmcb.c",
}


@dataclass
class Directive:
    """`Name args`, or with `block` a section `<Name args>` and what is in it."""

    name: str  # in small letters
    args: list[str]
    path: str
    line: int
    block: bool = False
    children: list[Directive] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    def own(self, *names: str) -> list[Directive]:
        """Every directive of these names directly inside."""
        return [child for child in self.children if child.name in names]


@dataclass
class Configuration:
    """`main` holds everything outside of virtual hosts, and these as sections of their own.

    `modules`: what is loaded, as identifiers (ssl_module). `ours`: how many directives of `main`
    come before where our drop-in is read; None where it would not be read. `single` reads the text
    of an .htaccess by its path.
    """

    main: Directive
    files: list[str]
    modules: frozenset[str]
    ours: int | None
    single: Callable[[str, str], Directive]

    def sites(self) -> list[Site]:
        """What answers requests: the virtual hosts, and the main server where none listens."""
        hosts = [Site(block, self.main) for block in self.main.own("virtualhost")]
        covered = {_port(address) for site in hosts for address in site.block.args}
        ports = {_port(at.args[0]) for at in self.main.own("listen") if at.args}
        if ("*" not in covered and ports - covered) or not hosts:
            hosts.append(Site(self.main, self.main))
        return hosts

    def after_ours(self, directive: Directive) -> bool:
        """Whether a directive of the main server is read after our drop-in, and so wins."""
        if self.ours is None:
            return True
        return any(child is directive for child in self.main.children[self.ours :])


class Site(NamedTuple):
    """A virtual host (or the main server, whose `block` is `main` itself)."""

    block: Directive
    main: Directive

    @property
    def place(self) -> str:
        return self.block.place if self.block is not self.main else MAIN

    @property
    def names(self) -> list[str]:
        found = [word for at in self.block.own("servername", "serveralias") for word in at.args]
        return [re.sub(r":\d+$", "", re.sub(r"^[a-z]+://", "", name.lower())) for name in found]

    @property
    def label(self) -> str:
        """How a message calls it."""
        if self.names:
            return self.names[0]
        return "the main server" if self.block is self.main else "the virtual host without a name"

    @property
    def addresses(self) -> list[str]:
        """Where it listens: `*:443`, `192.0.2.1:80`, `[2001:db8::1]:80`."""
        if self.block is not self.main:
            return self.block.args
        return [at.args[0] for at in self.main.own("listen") if at.args]

    def last(self, *names: str) -> Directive | None:
        """The directive in force at the level of the server: its own last one, else main's."""
        own = self.block.own(*names) or self.main.own(*names)
        return own[-1] if own else None

    @property
    def tls(self) -> bool:
        engine = self.last("sslengine")
        if engine is not None:
            return "".join(engine.args[:1]).lower() != "off"
        certificate = self.last("sslcertificatefile")
        return certificate is not None and any(_port(a) == "443" for a in self.addresses)

    @property
    def only_redirects(self) -> bool:
        """Whether every address is sent elsewhere, so that there is no page."""
        return any("/" in at.args[:-1] for at in self.block.own("redirect", "redirectpermanent"))

    @property
    def root(self) -> str:
        """The document root. Raises HostError where it depends on something unknown."""
        at = self.last("documentroot")
        root = at.args[0] if at is not None and at.args else _DEFAULT_ROOT
        if "${" in root or "\0" in root:
            raise HostError(f"{at.place if at else MAIN}: {root} is no folder that can be known")
        return os.path.normpath(root if root.startswith("/") else f"{FOLDER}/{root}")


def read(host: Host) -> Configuration:
    """The configuration of the host, read once a run. Raises HostError."""
    return host.once("apache configuration", lambda: _Reader(host).configuration())


def words(text: str) -> list[str]:
    """The arguments of a line, as Apache takes them apart."""
    found: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if position >= len(text):
            return found
        mark = text[position]
        if mark in "\"'":
            word, position = _quoted(text, position + 1, mark)
        else:
            start = position
            while position < len(text) and not text[position].isspace():
                position += 1
            word = text[start:position].replace("\\\\", "\\")
        found.append(word)


def _quoted(text: str, position: int, mark: str) -> tuple[str, int]:
    """The word inside quotation marks; one that is not closed goes to the end of the line."""
    word = ""
    while position < len(text) and text[position] != mark:
        if text[position] == "\\" and text[position + 1 : position + 2] in (mark, "\\"):
            word += text[position + 1]
            position += 2
            continue
        word += text[position]
        position += 1
    return word, position + 1


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The number and text of each line that says something, continued ones put together."""
    joined, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        start = start or number
        line = line.removesuffix("\r")
        if line.endswith("\\"):
            joined += line[:-1]
            continue
        whole = (joined + line).strip()
        if whole and not whole.startswith("#"):
            yield start, whole
        joined, start = "", 0
    if joined.strip() and not joined.strip().startswith("#"):
        yield start, joined.strip()


def sections(block: Directive) -> Iterator[Directive]:
    """Every section inside, however deep; virtual hosts and what is in them left out."""
    for child in block.children:
        if child.block and child.name != "virtualhost":
            yield child
            yield from sections(child)


def _checked(text: str, path: str) -> str:
    if "\0" in text:
        raise HostError(f"{path} cannot be understood: it holds a null byte")
    return text.removeprefix("\ufeff")


def _directive(line: str, path: str, number: int) -> Directive:
    if not line.startswith("<"):
        name = re.split(r"\s", line, maxsplit=1)[0]
        return Directive(name.lower(), words(line[len(name) :]), path, number)
    if not line.endswith(">"):
        raise HostError(f"{path}:{number} cannot be understood: a section without its closing >")
    name = re.split(r"\s", line[1:-1], maxsplit=1)[0]
    return Directive(name.lower(), words(line[1 + len(name) : -1]), path, number, block=True)


class _Macro(NamedTuple):
    parameters: list[str]
    body: list[tuple[int, str]]
    path: str


class _Reader:
    """What Apache knows while it reads its files from top to bottom."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.root = FOLDER
        self.files: list[str] = []
        self.lines = 0
        self.modules = set(_BUILT_IN)
        self.sources = set(_BUILT_IN.values())
        self.defined: dict[str, str] = {}
        self.macros: dict[str, _Macro] = {}
        self.main = Directive("", [], MAIN, 0, block=True)
        self.stack = [self.main]
        self.ours: int | None = None
        self.environment = {
            name: re.sub(r"\$\{?SUFFIX\}?", "", value.strip("\"'"))
            for name, value in _EXPORT.findall(host.text(f"{FOLDER}/envvars") or "")
        }

    def configuration(self) -> Configuration:
        self.file(MAIN, 0)
        modules = frozenset(self.modules)
        return Configuration(self.main, self.files, modules, self.ours, self.single)

    def single(self, path: str, text: str) -> Directive:
        """A file by itself, such as an .htaccess. Raises HostError."""
        top = Directive("", [], path, 0, block=True)
        self.stack = [top]
        self.body(list(lines(_checked(text, path))), path, 0)
        return top

    def file(self, path: str, depth: int) -> None:
        if depth > _MAX_DEPTH or len(self.files) >= _MAX_FILES:
            raise HostError(f"{path}: includes nest too deep or are too many")
        text = self.host.text(path)
        if text is None:
            raise HostError(f"{path} is not there")
        self.files.append(path)
        self.body(list(lines(_checked(text, path))), path, depth)

    def body(self, rows: list[tuple[int, str]], path: str, depth: int) -> None:
        """Take in the lines of a file or a macro; its sections end where it ends."""
        floor = len(self.stack)
        position = 0
        while position < len(rows):
            number, line = rows[position]
            position += 1
            self.lines += 1
            if self.lines > _MAX_LINES:
                raise HostError(f"{path}:{number}: the configuration has no end")
            if line.startswith("</"):
                if len(self.stack) == floor:
                    raise HostError(f"{path}:{number} cannot be understood: {line} closes nothing")
                self.closed(line, path, number)
                continue
            directive = _directive(self.substituted(line), path, number)
            if directive.name in _CONDITIONS:
                if not self.holds(directive):
                    position = _past(rows, position, directive)
                else:
                    self.stack.append(directive)  # transparent: see closed()
            elif directive.name == "macro":
                end = _past(rows, position, directive)
                self.note_macro(directive, rows[position : end - 1])
                position = end
            else:
                self.take(directive, depth)
        if len(self.stack) != floor:
            open_one = self.stack[-1]
            raise HostError(
                f"{open_one.place} cannot be understood: <{open_one.name}> is not closed"
            )

    def closed(self, line: str, path: str, number: int) -> None:
        name = line[2:].rstrip(">").strip().lower()
        if self.stack[-1].name != name:
            raise HostError(
                f"{path}:{number} cannot be understood: {line} closes <{self.stack[-1].name}>"
            )
        self.stack.pop()

    def around(self) -> Directive:
        """The section that is open, conditions not counted."""
        return next(block for block in reversed(self.stack) if block.name not in _CONDITIONS)

    def take(self, directive: Directive, depth: int) -> None:
        name, args = directive.name, directive.args
        if name in ("include", "includeoptional"):
            self.include(directive, depth)
            return
        if name == "use" and args:
            self.use(directive, depth)
            return
        if name == "perl":
            raise HostError(f"{directive.place}: <Perl> cannot be followed")
        if name == "define" and args:
            self.defined[args[0]] = args[1] if len(args) > 1 else ""
        elif name == "undefine" and args:
            self.defined.pop(args[0], None)
        elif name == "serverroot" and args:
            self.root = args[0]
        elif name == "loadmodule" and len(args) > 1:
            self.modules.add(args[0])
            self.sources.add(_source(args[0], args[1]))
        self.around().children.append(directive)
        if directive.block:
            self.stack.append(directive)

    def include(self, directive: Directive, depth: int) -> None:
        if len(directive.args) != 1:
            raise HostError(f"{directive.place} cannot be understood: it takes one file")
        pattern = directive.args[0]
        if not pattern.startswith("/"):
            pattern = f"{self.root}/{pattern}"
        if "${" in pattern:
            raise HostError(f"{directive.place} cannot be followed: {pattern}")
        found = self.included(directive, os.path.normpath(pattern))
        if not found and directive.name == "include":
            raise HostError(f"{directive.place}: {pattern} is not there")
        is_ours = pattern == f"{FOLDER}/conf-enabled/*.conf" and self.around() is self.main
        if is_ours and ENABLED not in found:
            self.ours = None  # set below: after those that come before it in the alphabet
        for path in found:
            if is_ours and self.ours is None and path > ENABLED:
                self.ours = len(self.main.children)
            self.file(path, depth + 1)
            if is_ours and path == ENABLED:
                self.ours = len(self.main.children)
        if is_ours and self.ours is None:
            self.ours = len(self.main.children)

    def included(self, directive: Directive, pattern: str) -> list[str]:
        if not _WILD.search(pattern):
            if os.path.isdir(self.host.real(pattern)):
                return [
                    path
                    for name in self.host.names(pattern)
                    for path in self.included(directive, f"{pattern}/{name}")
                ]
            present = self.host.read(pattern) is not None
            return [pattern] if present else []
        try:
            found = self.host.glob(pattern)
        except (ValueError, NotImplementedError, OSError) as error:
            raise HostError(f"{directive.place} cannot be followed: {error}") from error
        hidden = os.path.basename(pattern).startswith(".")
        return [
            path
            for match in found
            if hidden or not os.path.basename(match).startswith(".")
            for path in (
                self.included(directive, match) if os.path.isdir(self.host.real(match)) else [match]
            )
        ]

    def note_macro(self, directive: Directive, rows: list[tuple[int, str]]) -> None:
        if not directive.args:
            raise HostError(f"{directive.place} cannot be understood: a macro without a name")
        macro = _Macro(directive.args[1:], rows, directive.path)
        self.macros[directive.args[0].lower()] = macro

    def use(self, directive: Directive, depth: int) -> None:
        macro = self.macros.get(directive.args[0].lower())
        given = directive.args[1:]
        if macro is None or len(given) != len(macro.parameters) or depth > _MAX_DEPTH:
            raise HostError(f"{directive.place} cannot be followed: Use {directive.args[0]}")
        # The longest name first: $site must not be found in $sitename.
        pairs = sorted(zip(macro.parameters, given, strict=True), key=lambda pair: -len(pair[0]))
        rows = []
        for number, line in macro.body:
            for name, value in pairs:
                line = line.replace(name, value)
            rows.append((number, line))
        self.body(rows, macro.path, depth + 1)

    def substituted(self, line: str) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            return self.defined.get(name, self.environment.get(name, match[0]))

        return _VARIABLE.sub(value, line) if "${" in line else line

    def holds(self, condition: Directive) -> bool:
        if len(condition.args) < 1:
            raise HostError(f"{condition.place} cannot be understood: a condition of nothing")
        word = condition.args[0]
        negated = word.startswith("!")
        word = word[1:] if negated else word
        if condition.name == "ifmodule":
            found = word in self.modules or word in self.sources
        elif condition.name == "ifdefine":
            found = word in self.defined
        elif condition.name == "iffile":
            path = word if word.startswith("/") else f"{self.root}/{word}"
            found = self.host.exists(path)
        elif condition.name == "ifversion":
            return self.version_holds(condition)
        else:
            raise HostError(f"{condition.place}: <{condition.name}> cannot be followed")
        return found != negated

    def version_holds(self, condition: Directive) -> bool:
        packages = self.host.installed_packages()
        match = re.match(r"(?:\d+:)?(\d+)\.(\d+)\.(\d+)", packages.get("apache2-bin", ""))
        if match is None:
            raise HostError(f"{condition.place}: the version of Apache is not known")
        have = tuple(int(part) for part in match.groups())
        operator, wanted = ("=", condition.args[0])
        if len(condition.args) > 1:
            operator, wanted = condition.args[0], condition.args[1]
        if not re.fullmatch(r"\d+(\.\d+){0,2}", wanted):
            raise HostError(f"{condition.place} cannot be followed: {' '.join(condition.args)}")
        want = tuple(int(part) for part in wanted.split("."))
        want = (*want, 0, 0)[:3]
        negated, operator = operator.startswith("!"), operator.lstrip("!")
        results = {
            "=": have == want,
            "==": have == want,
            ">": have > want,
            ">=": have >= want,
            "<": have < want,
            "<=": have <= want,
        }
        if operator not in results:
            raise HostError(f"{condition.place} cannot be followed: {' '.join(condition.args)}")
        return results[operator] != negated


def _past(rows: list[tuple[int, str]], position: int, opened: Directive) -> int:
    """The position after the line that closes `opened`, whose inside is not read."""
    depth = 1
    opening = re.compile(rf"<{re.escape(opened.name)}(?:\s|>|$)", re.IGNORECASE)
    closing = re.compile(rf"</{re.escape(opened.name)}\s*>", re.IGNORECASE)
    while position < len(rows):
        line = rows[position][1]
        position += 1
        if opening.match(line):
            depth += 1
        elif closing.match(line):
            depth -= 1
            if depth == 0:
                return position
    raise HostError(f"{opened.place} cannot be understood: <{opened.name}> is not closed")


def _source(identifier: str, path: str) -> str:
    name = os.path.basename(path)
    return _SOURCES.get(identifier, f"{name.removesuffix('.so')}.c")


def _port(address: str) -> str:
    match = re.search(r"(?::|^)(\d+|\*)$", address)
    return match[1] if match else "*"


def htaccess(host: Host, configuration: Configuration) -> list[tuple[Site, Directive]]:
    """The .htaccess files that Apache reads for each site, with the site, its path kept.

    Those at the document root and down to `HTACCESS_DEPTH` folders below it. Raises HostError for
    one that cannot be read or understood.
    """
    return host.once("apache htaccess", lambda: list(_htaccess(host, configuration)))


def _htaccess(host: Host, configuration: Configuration) -> Iterator[tuple[Site, Directive]]:
    seen: set[str] = set()
    for site in configuration.sites():
        if site.root in seen:
            continue
        seen.add(site.root)
        for folder in _folders(host, site.root):
            if not overrides(site, folder):
                continue
            path = f"{folder}/.htaccess"
            text = host.text(path) if host.exists(path) else None
            if text is not None:
                yield site, configuration.single(path, text)


def _folders(host: Host, root: str) -> Iterator[str]:
    waiting, count = [(root, 0)], 0
    while waiting:
        folder, depth = waiting.pop(0)
        count += 1
        if count > _MAX_FOLDERS:
            raise HostError(f"{root} has too many folders to look for .htaccess files in")
        yield folder
        if depth < HTACCESS_DEPTH:
            waiting += [(path, depth + 1) for path in _subfolders(host, folder)]


def _subfolders(host: Host, folder: str) -> list[str]:
    try:
        with os.scandir(host.real(folder)) as entries:
            return sorted(f"{folder}/{e.name}" for e in entries if e.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise HostError(f"{folder} cannot be listed: {error.strerror}") from error


def overrides(site: Site, folder: str) -> set[str]:
    """What an .htaccess in `folder` may set, in small letters; empty where it is not read."""
    found: set[str] = set()
    for section in folder_sections(site, folder):
        for at in section.own("allowoverride"):
            found = {word.lower() for word in at.args} - {"none"}
        for at in section.own("allowoverridelist"):
            found |= {word.lower() for word in at.args} - {"none"}
    return found


def folder_sections(site: Site, folder: str) -> list[Directive]:
    """The <Directory> sections for `folder`, weakest first: by length, the site's own last."""
    found: list[tuple[int, int, Directive]] = []
    blocks = [site.main] if site.block is site.main else [site.main, site.block]
    for order, block in enumerate(blocks):
        for section in block.own("directory"):
            if section.args[:1] == ["~"] or not section.args:
                continue
            depth = _covers(section.args[0], folder)
            if depth is not None:
                found.append((depth, order, section))
    return [section for _depth, _order, section in sorted(found, key=lambda row: row[:2])]


def _covers(pattern: str, folder: str) -> int | None:
    """How many folders deep a <Directory> of `pattern` is, if it is about `folder`."""
    wanted = [part for part in pattern.split("/") if part]
    have = [part for part in folder.split("/") if part]
    if len(wanted) > len(have):
        return None
    for want, name in zip(wanted, have, strict=False):
        if not _name_matches(want, name):
            return None
    return len(wanted)


def _name_matches(pattern: str, name: str) -> bool:
    if not _WILD.search(pattern):
        return pattern == name
    return wildcard(pattern).fullmatch(name) is not None


def wildcard(pattern: str, *, slash: bool = False) -> re.Pattern[str]:
    """A shell pattern as Apache takes it; with `slash` a star goes past slashes."""
    inside = "." if slash else "[^/]"
    parts = re.split(r"(\*|\?|\[[^\]]+\])", pattern)
    translated = ""
    for part in parts:
        if part == "*":
            translated += f"{inside}*"
        elif part == "?":
            translated += inside
        elif part.startswith("[") and part.endswith("]") and len(part) > 2:
            body = part[1:-1].replace("\\", "\\\\")
            translated += f"[{'^' + body[1:] if body[0] in '!^' else body}]"
        else:
            translated += re.escape(part)
    try:
        return re.compile(translated, re.DOTALL)
    except re.error as error:
        raise HostError(f"{pattern} cannot be followed: {error}") from error


def pattern(at: Directive, text: str) -> re.Pattern[str]:
    """A regular expression of Apache's. Raises HostError for one that cannot be followed."""
    try:
        return re.compile(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", text))
    except (re.error, OverflowError, RecursionError) as error:
        raise HostError(f"{at.place}: {text} cannot be followed: {error}") from error


def everywhere(
    host: Host, configuration: Configuration, *names: str
) -> Iterable[tuple[str, Directive]]:
    """Each directive of these names that stands in a section or an .htaccess, and whose it is."""
    for section in sections(configuration.main):
        for at in section.own(*names):
            yield "the server", at
    for block in configuration.main.own("virtualhost"):
        site = Site(block, configuration.main)
        for section in sections(block):
            for at in section.own(*names):
                yield site.label, at
    for site, top in htaccess(host, configuration):
        for section in (top, *sections(top)):
            for at in section.own(*names):
                yield site.label, at


def stage_part(
    stage: Stage, configuration: Configuration, name: str, body: str, *, module: str = ""
) -> None:
    """Stage a part of our drop-in, that it is read, and that the module it needs is loaded.

    Raises HostError where Apache would not read it.
    """
    if configuration.ours is None:
        raise HostError(f"{MAIN} does not include conf-enabled/*.conf, where ours is put")
    if module:
        body = f"<IfModule {module}_module>\n{body.rstrip()}\n</IfModule>\n"
    stage.edit(DROP_IN, _web.set_part(name, body), validator="apache")
    if ENABLED not in configuration.files:
        stage.step(_enable)
    if module and f"{module}_module" not in configuration.modules:
        stage.step(partial(_load, module=module))


def _enable(host: Host) -> None:
    host.output(["a2enconf", "-q", NAME])


def _load(host: Host, *, module: str) -> None:
    host.output(["a2enmod", "-q", module])
