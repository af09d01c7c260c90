# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What nginx does with a request, as far as its server block and locations decide it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.ringfence.hosting.plugins.module_utils import _nginx
from ansible_collections.ringfence.hosting.plugins.module_utils._host import HostError

SERVED = "served"
DENIED = "denied"
EXECUTED = "executed"
PASSED_ON = "passed on"

_TO_CODE = ("fastcgi_pass", "uwsgi_pass", "scgi_pass")
_TO_OTHERS = ("proxy_pass", "grpc_pass", "memcached_pass")
_PATHS = ("$uri", "$request_uri", "$document_uri", "$request_filename")


def answer(server: _nginx.Server, uri: str) -> tuple[str, _nginx.Directive]:
    """What becomes of a GET of `uri` (served, denied, executed, passed on), and the block that
    decides. Raises HostError for a pattern that cannot be followed."""
    block = server.block
    if _refused_at_once(server.chain, uri):
        return DENIED, block
    chain = _location(server.chain, uri)
    inner = chain[-1]
    if _refused_at_once(chain, uri) or inner.own("internal") or _closed(chain):
        return DENIED, inner
    if any(inner.own(name) for name in _TO_CODE):
        return EXECUTED, inner
    if any(inner.own(name) for name in _TO_OTHERS):
        return PASSED_ON, inner
    return SERVED, inner


def _refused_at_once(chain: tuple[_nginx.Directive, ...], uri: str) -> bool:
    """By `return`, plain or in an `if` on the address, of the last block."""
    block = chain[-1]
    if block.own("return"):
        return True
    return any(
        condition.own("return") and _condition_holds(condition, uri)
        for condition in block.own("if")
    )


def _condition_holds(condition: _nginx.Directive, uri: str) -> bool:
    """Whether an `if` is about the address and holds; what asks for something else does not."""
    words = " ".join(condition.args).strip().removeprefix("(").removesuffix(")").split(None, 2)
    if len(words) != 3 or words[0] not in _PATHS or words[1] not in ("~", "~*", "="):
        return False
    pattern = words[2].strip().strip("\"'")
    if words[1] == "=":
        return pattern == uri
    return _matches(condition, pattern, uri, ignore_case=words[1] == "~*")


def _closed(chain: tuple[_nginx.Directive, ...]) -> bool:
    """Whether allow and deny let nobody in but some."""
    for block in reversed(chain):
        rules = [child for child in block.children if child.name in ("allow", "deny")]
        if rules:
            break
    else:
        return False
    for rule in rules:
        if rule.args == ["all"]:
            return rule.name == "deny"
    return False


def _location(chain: tuple[_nginx.Directive, ...], uri: str) -> tuple[_nginx.Directive, ...]:
    """The chain down to the location that nginx would choose."""
    prefixes: list[tuple[int, bool, _nginx.Directive]] = []
    patterns = []
    for location in chain[-1].own("location"):
        kind, text = _modifier(location)
        if kind == "=":
            if text == uri:
                return (*chain, location)
        elif kind in ("~", "~*"):
            patterns.append((location, kind, text))
        elif kind != "@" and uri.startswith(text):
            prefixes.append((len(text), kind == "^~", location))
    best = max(prefixes, key=lambda row: row[0], default=None)
    inside = (*chain, best[2]) if best is not None else None
    if inside is not None:
        # Patterns inside the chosen prefix are asked before those beside it.
        deeper = _location(inside, uri)
        if len(deeper) > len(inside):
            return deeper
        if best is not None and best[1]:
            return inside
    for location, kind, text in patterns:
        if _matches(location, text, uri, ignore_case=kind == "~*"):
            return _location((*chain, location), uri)
    return inside if inside is not None else chain


def _modifier(location: _nginx.Directive) -> tuple[str, str]:
    args = location.args
    if len(args) == 2:
        return args[0], args[1]
    if len(args) != 1:
        raise HostError(f"{location.place} cannot be understood: a location without a pattern")
    for kind in ("~*", "~", "=", "^~", "@"):
        if args[0].startswith(kind):
            return kind, args[0][len(kind) :]
    return "", args[0]


def _matches(at: _nginx.Directive, pattern: str, uri: str, *, ignore_case: bool) -> bool:
    try:
        compiled = re.compile(
            re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern), re.IGNORECASE if ignore_case else 0
        )
    except (re.error, OverflowError, RecursionError) as error:
        raise HostError(f"{at.place}: {pattern} cannot be followed: {error}") from error
    return compiled.search(uri) is not None


def roots(server: _nginx.Server) -> Iterator[str]:
    """The document roots of a server, its locations' among them."""
    found = _nginx.in_force("root", server.chain)
    for chain in _nginx.inner_blocks(server.chain):
        found = [*found, *chain[-1].own("root")]
    yield from dict.fromkeys(at.args[0] for at in found if at.args)
