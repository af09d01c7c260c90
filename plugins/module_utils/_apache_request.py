# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Apache does with a request, as far as its configuration and .htaccess files decide it.

A refusal counts where it is certain; what is granted in one section and refused in a weaker one is
given out. Conditions on the request (<If>, RewriteCond) refuse nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _apache
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

SERVED = "served"
DENIED = "denied"
EXECUTED = "executed"
PASSED_ON = "passed on"

_STATUS = {"permanent": "301", "temp": "302", "seeother": "303", "gone": "410"}
_STATIC = ("none", "default-handler")
_CODE = re.compile(r"php|fcgi|cgi-script|uwsgi|scgi|wsgi", re.IGNORECASE)
_REFUSES = re.compile(r"(?i)(?:^|,)(?:F|G|forbidden|gone|R=4\d\d|redirect=4\d\d)(?:,|$)")
_NO_CASE = re.compile(r"(?i)(?:^|,)(?:NC|nocase)(?:,|$)")
_ADDED_HANDLERS = ("addhandler", "addtype")


class Request(NamedTuple):
    """A GET of `uri` from `site`; `files` are the .htaccess files of the site."""

    host: Host
    site: _apache.Site
    uri: str
    files: tuple[_apache.Directive, ...]

    @property
    def path(self) -> str:
        return os.path.normpath(f"{self.site.root}/{self.uri.lstrip('/')}")


def answer(request: Request) -> tuple[str, str]:
    """What becomes of the request (served, denied, executed, passed on), and the file and line that
    decide. Raises HostError for a pattern that cannot be followed."""
    blocks = _blocks(request.site)
    for block in blocks:
        at = _rewritten_away(block, request.uri) if block is request.site.block else None
        at = at or _redirected(block, request.uri)
        if at is not None:
            return DENIED, at.place
    to = _passed_on(blocks, request.uri)
    if to is not None:
        return (EXECUTED if "fcgi:" in " ".join(to.args) else PASSED_ON), to.place
    layers = list(sections_for(request))
    refused = _refused(layers) or _refused_by_htaccess(request)
    if refused is not None:
        return DENIED, refused.place
    handler = _handler(layers, os.path.basename(request.path))
    if handler is not None:
        return EXECUTED, handler.place
    return SERVED, request.site.place


def _blocks(site: _apache.Site) -> list[_apache.Directive]:
    """The site's own block, and the main server's, whose redirects hold for all."""
    return [site.block] if site.block is site.main else [site.block, site.main]


def _redirected(block: _apache.Directive, uri: str) -> _apache.Directive | None:
    """The Redirect or RedirectMatch that answers."""
    for at in block.own("redirect", "redirectmatch", "redirectpermanent", "redirecttemp"):
        args = list(at.args)
        if at.name in ("redirect", "redirectmatch") and args and _is_status(args[0]):
            args.pop(0)
        if not args:
            continue
        if at.name == "redirectmatch":
            if _apache.pattern(at, args[0]).search(uri):
                return at
        elif args[0].startswith("/") and _below(args[0], uri):
            return at
    return None


def _is_status(word: str) -> bool:
    return word.lower() in _STATUS or re.fullmatch(r"\d{3}", word) is not None


def _below(prefix: str, uri: str) -> bool:
    """Whether a path is `prefix` or below it, by whole names."""
    bare = prefix.rstrip("/")
    return uri == bare or uri.startswith(f"{bare}/")


def _rewritten_away(block: _apache.Directive, uri: str) -> _apache.Directive | None:
    """The RewriteRule that refuses, without a condition before it."""
    engine = block.own("rewriteengine")
    if not engine or "".join(engine[-1].args).lower() != "on":
        return None
    conditional = False
    for at in block.children:
        if at.name == "rewritecond":
            conditional = True
        elif at.name == "rewriterule":
            if not conditional and _rule_refuses(at, uri):
                return at
            conditional = False
    return None


def _rule_refuses(at: _apache.Directive, uri: str) -> bool:
    if len(at.args) < 3 or not at.args[2].startswith("["):
        return False
    flags = at.args[2].strip("[]").replace(" ", "")
    if not _REFUSES.search(flags):
        return False
    text = at.args[0]
    negated, text = text.startswith("!"), text.removeprefix("!")
    compiled = _apache.pattern(at, f"(?i){text}" if _NO_CASE.search(flags) else text)
    return (compiled.search(uri) is not None) != negated


def _refused_by_htaccess(request: Request) -> _apache.Directive | None:
    """By a rule of an .htaccess on the way: a pattern there is about what is below its folder."""
    for top in request.files:
        folder = os.path.dirname(top.path)
        if not request.path.startswith(f"{folder}/"):
            continue
        at = _rewritten_away(top, request.path.removeprefix(f"{folder}/"))
        at = at or _redirected(top, request.uri)
        if at is not None:
            return at
    return None


def _passed_on(blocks: list[_apache.Directive], uri: str) -> _apache.Directive | None:
    """The ProxyPass or ProxyPassMatch that takes the request."""
    for block in blocks:
        for at in block.own("proxypass", "proxypassmatch"):
            if len(at.args) < 2:
                continue
            found = (
                _apache.pattern(at, at.args[0]).search(uri) is not None
                if at.name == "proxypassmatch"
                else uri.startswith(at.args[0])
            )
            if found:
                return None if at.args[1] == "!" else at
    return None


def sections_for(request: Request) -> Iterator[_apache.Directive]:
    """What is merged for the request, weakest first: servers, folders, files, locations."""
    site, path, uri = request.site, request.path, request.uri
    blocks = list(reversed(_blocks(site)))
    yield from blocks
    folder = os.path.dirname(path)
    folders = _folders_and_htaccess(request, folder)
    yield from folders
    for block in blocks:
        for section in block.own("directory", "directorymatch"):
            text = _as_pattern(section, "directorymatch")
            if text is not None and _apache.pattern(section, text).search(path):
                yield section
    name = os.path.basename(path)
    for around in [*blocks, *folders]:
        for section in around.own("files", "filesmatch"):
            if _file_covers(section, name):
                yield section
    for block in blocks:
        for section in block.own("location", "locationmatch"):
            if _location_covers(section, uri):
                yield section


def _file_covers(section: _apache.Directive, name: str) -> bool:
    text = _as_pattern(section, "filesmatch")
    if text is not None:
        return bool(_apache.pattern(section, text).search(name))
    return bool(section.args and _apache.wildcard(section.args[0]).fullmatch(name))


def _folders_and_htaccess(request: Request, folder: str) -> list[_apache.Directive]:
    """<Directory> sections and .htaccess files: a file counts as a section of its folder."""
    rows = [
        (len([part for part in section.args[0].split("/") if part]), 0, section)
        for section in _apache.folder_sections(request.site, folder)
    ]
    for top in request.files:
        place = os.path.dirname(top.path)
        if _below(place, folder):
            rows.append((len([part for part in place.split("/") if part]), 1, top))
    return [section for _depth, _kind, section in sorted(rows, key=lambda row: row[:2])]


def _as_pattern(section: _apache.Directive, match_name: str) -> str | None:
    """The regular expression of `<XMatch re>` or `<X ~ re>`; None for a plain section."""
    if section.name == match_name:
        return section.args[0] if section.args else ""
    if section.args[:1] == ["~"] and len(section.args) > 1:
        return section.args[1]
    return None


def _location_covers(section: _apache.Directive, uri: str) -> bool:
    text = _as_pattern(section, "locationmatch")
    if text is not None:
        return _apache.pattern(section, text).search(uri) is not None
    if not section.args:
        return False
    prefix = section.args[0]
    if re.search(r"[*?\[]", prefix):
        return _apache.wildcard(prefix).match(uri) is not None
    return prefix in ("", "/") or _below(prefix, uri)


def _refused(layers: list[_apache.Directive]) -> _apache.Directive | None:
    """The section that keeps strangers out, if the last one that says anything does."""
    for section in reversed(layers):
        rules = [
            child
            for child in section.children
            if child.name in ("require", "requireall", "requireany", "requirenone")
        ]
        if rules:
            return section if all(_keeps_out(rule) for rule in rules) else None
        allowed, denied = section.own("allow"), section.own("deny")
        if allowed or denied:
            all_denied = any(_is_all(at) for at in denied)
            some_allowed = any(_is_all(at) for at in allowed)
            return section if all_denied and not some_allowed else None
    return None


def _keeps_out(rule: _apache.Directive) -> bool:
    """Whether a Require lets in nobody, or only whom it knows."""
    if rule.block:
        inner = [_keeps_out(child) for child in rule.children if child.name.startswith("require")]
        if rule.name == "requireall":
            return any(inner)
        return rule.name == "requireany" and bool(inner) and all(inner)
    said = [word.lower() for word in rule.args]
    if said[:1] == ["not"] or said[:1] in (["env"], ["expr"], ["method"]):
        return False
    return said[:2] != ["all", "granted"] and bool(said)


def _is_all(at: _apache.Directive) -> bool:
    return [word.lower() for word in at.args[:2]] == ["from", "all"]


def _handler(layers: list[_apache.Directive], name: str) -> _apache.Directive | None:
    """The directive by which the file would be run; None where it is delivered as it is."""
    for section in reversed(layers):
        own = section.own("sethandler")
        if own:
            said = " ".join(own[-1].args).lower()
            if said in _STATIC:
                return None
            return own[-1] if _CODE.search(said) else None
    endings = {f".{part}" for part in name.lower().split(".")[1:]}
    for section in layers:
        for at in section.own(*_ADDED_HANDLERS):
            known = {f".{word.lower().lstrip('.')}" for word in at.args[1:]}
            if endings & known and _CODE.search(at.args[0]):
                return at
    return None


def keeps_strangers_out(section: _apache.Directive) -> bool | None:
    """Whether a section by itself lets strangers in; None where it says nothing of it."""
    names = ("require", "requireall", "requireany", "requirenone", "allow", "deny")
    if not section.own(*names):
        return None
    return _refused([section]) is not None


def refuses(request: Request) -> bool:
    """Whether the request ends in a refusal: not in a page, nor in a redirect to one."""
    for block in _blocks(request.site):
        at = _redirected(block, request.uri)
        if at is not None:
            return bool(re.fullmatch(r"4\d\d|gone", at.args[0].lower()))
    if _passed_on(_blocks(request.site), request.uri) is not None:
        return False
    return _refused(list(sections_for(request))) is not None
