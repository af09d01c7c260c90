# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""AWS policies: what one says of a request, and our statements merged into one of others.

Used before a policy is written, to see that nobody who must get in is shut out by it. What a
request would carry may be unknown (`UNKNOWN`); an answer that hangs on it is no yes.
Source: AWS IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements".
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Policy = Mapping[str, Any]
Statement = dict[str, Any]

UNKNOWN: tuple[str, ...] = ("\x00unknown",)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = {"*": "[*]", "?": "[?]", "$": "$"}


class PolicyError(Exception):
    """A policy that cannot be understood, in one line."""


@dataclass(frozen=True)
class Asked:
    """A request. `context`: condition keys in small letters, each with its values."""

    action: str
    resource: str
    principal: str = ""  # its ARN; empty for nobody in particular
    account: str = ""
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def values(self, key: str) -> Sequence[str] | None:
        """The values of a condition key; None where the request does not carry it."""
        return self.context.get(key.lower())


def parse(text: str | None) -> dict[str, Any]:
    """A policy from its JSON; an empty one where there is none. Raises PolicyError."""
    if not text:
        return {"Version": "2012-10-17", "Statement": []}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise PolicyError(f"the policy is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise PolicyError("the policy is not a JSON object")
    return {**found, "Statement": statements(found)}


def statements(policy: Policy) -> list[Statement]:
    """The statements of a policy, also where it is one that stands alone."""
    found = policy.get("Statement", [])
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(statement, dict) for statement in listed):
        raise PolicyError("Statement is not a list of JSON objects")
    return listed


def merged(policy: Policy, ours: Sequence[Statement], prefix: str) -> dict[str, Any]:
    """The policy with `ours` in it. Statements whose Sid begins with `prefix` are ours and go where
    they are no longer wanted; all others stay as they are, and where they are."""
    wanted = {str(statement["Sid"]): statement for statement in ours}
    kept: list[Statement] = []
    for statement in statements(policy):
        sid = str(statement.get("Sid", ""))
        if sid in wanted:
            kept.append(wanted.pop(sid))
        elif not sid.startswith(prefix):
            kept.append(statement)
    return {
        **policy,
        "Version": policy.get("Version", "2012-10-17"),
        "Statement": [*kept, *wanted.values()],
    }


def same(one: Policy, other: Policy) -> bool:
    """Whether two policies say the same: S3 puts lists of one as text, and sorts some."""
    return bool(_canonical(one) == _canonical(other))


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        found = {key: _canonical(inner) for key, inner in value.items()}
        return ("*",) if found == {"AWS": ("*",)} else found
    if isinstance(value, list):
        if any(isinstance(part, Mapping) for part in value):
            return [_canonical(part) for part in value]
        return tuple(sorted(_text(part) for part in value))
    return (_text(value),)


def denied_by(policies: Iterable[Policy], asked: Asked) -> str:
    """The Sid (or place) of a statement that surely denies the request; empty where none does."""
    for policy in policies:
        for number, statement in enumerate(statements(policy)):
            if statement.get("Effect") == "Deny" and matches(statement, asked) is True:
                return str(statement.get("Sid") or f"Statement[{number}]")
    return ""


def allowed_by(policies: Iterable[Policy], asked: Asked) -> str:
    """The Sid (or place) of a statement that may allow the request; empty where none does."""
    for policy in policies:
        for number, statement in enumerate(statements(policy)):
            if statement.get("Effect") == "Allow" and matches(statement, asked) is not False:
                return str(statement.get("Sid") or f"Statement[{number}]")
    return ""


def matches(statement: Statement, asked: Asked) -> bool | None:
    """Whether a statement is about a request; None where that hangs on what is not known."""
    return _all(
        (
            _principal(statement, asked),
            _element(statement, "Action", asked.action, asked, small=True),
            _element(statement, "Resource", asked.resource, asked, small=False),
            _conditions(statement.get("Condition") or {}, asked),
        )
    )


def _all(parts: Iterable[bool | None]) -> bool | None:
    found = list(parts)
    if any(part is False for part in found):
        return False
    return None if None in found else True


def _any(parts: Iterable[bool | None]) -> bool | None:
    found = list(parts)
    if any(part is True for part in found):
        return True
    return None if None in found else False


def _not(part: bool | None) -> bool | None:
    return None if part is None else not part


def _listed(value: Any) -> list[str]:
    if isinstance(value, list):
        return [_text(part) for part in value]
    return [_text(value)]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _principal(statement: Statement, asked: Asked) -> bool | None:
    if "NotPrincipal" in statement:
        return not _names(statement["NotPrincipal"], asked)
    # An identity's own policy names no principal.
    return "Principal" not in statement or _names(statement["Principal"], asked)


def _names(principal: Any, asked: Asked) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        raise PolicyError(f"Principal is {principal!r}, expected * or a JSON object")
    for kind, value in principal.items():
        for name in _listed(value):
            if kind == "AWS" and _is_principal(name, asked):
                return True
            if kind == "Service" and asked.principal == name:
                return True
    return False


def _is_principal(name: str, asked: Asked) -> bool:
    if name == "*":
        return True
    root = re.fullmatch(r"(?:arn:[^:]+:iam::)?(\d{12})(?::root)?", name)
    if root:
        return asked.account == root[1]
    return bool(asked.principal) and name in (asked.principal, role_of(asked.principal))


def role_of(arn: str) -> str:
    """The role that a session belongs to, by its ARN; any other ARN as it is."""
    session = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/.*", arn)
    return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}" if session else arn


def _element(statement: Statement, name: str, seen: str, asked: Asked, small: bool) -> bool | None:
    negated = f"Not{name}"
    if name not in statement and negated not in statement:
        return True  # a policy of trust names no resource
    found = [
        _like(pattern, seen, asked, small=small)
        for pattern in _listed(statement[negated if negated in statement else name])
    ]
    return _not(_any(found)) if negated in statement else _any(found)


def _like(pattern: str, seen: str, asked: Asked, *, small: bool = False) -> bool | None:
    filled = _filled(pattern, asked)
    if not isinstance(filled, str):
        return filled
    return bool(
        _glob(filled.lower() if small else filled).fullmatch(seen.lower() if small else seen)
    )


def _filled(pattern: str, asked: Asked) -> str | bool | None:
    """Variables put in; False where the request has no such value, None where it is unknown."""
    if "${" not in pattern:
        return pattern
    outcome: bool | None = True

    def value(found: re.Match[str]) -> str:
        nonlocal outcome
        name, _comma, default = found[1].partition(",")
        if name in _LITERALS:
            return _LITERALS[name]
        values = asked.values(name.strip())
        if values == UNKNOWN:
            outcome = None
        elif values:
            return values[0]
        elif default:
            return default.strip().strip("'")
        else:
            outcome = False
        return ""

    filled = _VARIABLE.sub(value, pattern)
    return filled if outcome is True else outcome


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\[\*\]|\[\?\]|\*|\?)", pattern)
    known = {"*": ".*", "?": ".", "[*]": r"\*", "[?]": r"\?"}
    return re.compile("".join(known.get(part, re.escape(part)) for part in parts), re.DOTALL)


def _conditions(conditions: Mapping[str, Any], asked: Asked) -> bool | None:
    return _all(
        _condition(operator, key, _listed(expected), asked)
        for operator, keys in conditions.items()
        for key, expected in keys.items()
    )


def _condition(operator: str, key: str, expected: list[str], asked: Asked) -> bool | None:
    quantifier, _colon, plain = operator.rpartition(":")
    name = plain.removesuffix("IfExists")
    seen = asked.values(key)
    if name != "Null" and name not in _OPERATORS:
        raise PolicyError(f"the condition operator {operator} is not known")
    if seen == UNKNOWN:
        return None
    if name == "Null":
        return (not seen) == (expected[0].lower() == "true")
    test, negated = _OPERATORS[name]
    if not seen:
        if quantifier:
            return quantifier == "ForAllValues"
        return plain != name or negated
    found = [_one(test, negated, value, expected, asked) for value in seen]
    return _any(found) if quantifier == "ForAnyValue" else _all(found)


Test = Callable[[str, str], bool]


def _one(test: Test, negated: bool, seen: str, expected: list[str], asked: Asked) -> bool | None:
    def tried(pattern: str) -> bool | None:
        filled = _filled(pattern, asked)
        return test(seen, filled) if isinstance(filled, str) else filled

    found = _any(tried(pattern) for pattern in expected)
    return _not(found) if negated else found


def _literal(pattern: str) -> str:
    return pattern.replace("[*]", "*").replace("[?]", "?")


def _arn(seen: str, pattern: str) -> bool:
    seen_parts, parts = seen.split(":", 5), pattern.split(":", 5)
    return len(seen_parts) == len(parts) and all(
        _glob(part).fullmatch(found) for found, part in zip(seen_parts, parts, strict=True)
    )


def _compared(convert: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Test:
    def test(seen: str, expected: str) -> bool:
        try:
            return compare(convert(seen), convert(expected))
        except ValueError:
            return False

    return test


def _moment(text: str) -> datetime:
    if text.isdigit():
        return datetime.fromtimestamp(int(text), UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _within(seen: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(seen) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _operators() -> dict[str, tuple[Test, bool]]:
    """Name -> (test of a value against one expected, whether the outcome is turned round)."""
    found: dict[str, tuple[Test, bool]] = {}

    def both(name: str, turned: str, test: Test) -> None:
        found[name], found[turned] = (test, False), (test, True)

    both("StringEquals", "StringNotEquals", lambda seen, want: seen == _literal(want))
    both(
        "StringEqualsIgnoreCase",
        "StringNotEqualsIgnoreCase",
        lambda seen, want: seen.lower() == _literal(want).lower(),
    )
    both("StringLike", "StringNotLike", lambda seen, want: bool(_glob(want).fullmatch(seen)))
    both("ArnEquals", "ArnNotEquals", _arn)
    both("ArnLike", "ArnNotLike", _arn)
    both("IpAddress", "NotIpAddress", _within)
    found["Bool"] = (lambda seen, want: seen.lower() == want.lower(), False)
    found["BinaryEquals"] = (lambda seen, want: seen == want, False)
    for kind, convert in (("Numeric", float), ("Date", _moment)):
        turn: Callable[[str], Any] = convert
        equal = _compared(turn, lambda seen, want: bool(seen == want))
        both(f"{kind}Equals", f"{kind}NotEquals", equal)
        found[f"{kind}LessThan"] = (_compared(turn, lambda seen, want: bool(seen < want)), False)
        found[f"{kind}LessThanEquals"] = (
            _compared(turn, lambda seen, want: bool(seen <= want)),
            False,
        )
        found[f"{kind}GreaterThan"] = (_compared(turn, lambda seen, want: bool(seen > want)), False)
        found[f"{kind}GreaterThanEquals"] = (
            _compared(turn, lambda seen, want: bool(seen >= want)),
            False,
        )
    return found


_OPERATORS = _operators()
