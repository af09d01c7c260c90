# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS would answer: a request judged by identity policies and a bucket's policy.

Written from AWS's documentation and not from the product's own evaluator, which it is to find out.
A request is a plain dict: action, resource, principal (ARN or None), account, context (condition
keys in any case, each a text or a list of texts).
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from datetime import datetime
from typing import Any

ALLOW, DENY, NOTHING = "allow", "deny", "nothing"


def decide(
    request: dict[str, Any],
    identity: list[dict[str, Any]],
    resource: dict[str, Any] | None,
    owner: str,
) -> str:
    """allow or deny. Within the owner's account one allow is enough, from outside it takes both;
    the owner's root needs none."""
    by_identity = {verdict(statement, request) for policy in identity for statement in _s(policy)}
    by_resource = {verdict(statement, request) for statement in _s(resource or {})}
    if DENY in by_identity | by_resource:
        return DENY
    if request.get("principal") is None:
        return ALLOW if ALLOW in by_resource else DENY
    if request["account"] == owner:
        root = request["principal"].endswith(":root")
        return ALLOW if root or ALLOW in by_identity | by_resource else DENY
    foreign_root = request["principal"].endswith(":root")
    granted = foreign_root or ALLOW in by_identity
    return ALLOW if granted and ALLOW in by_resource else DENY


def verdict(statement: dict[str, Any], request: dict[str, Any]) -> str:
    """What one statement says of a request."""
    about = (
        _about_principal(statement, request)
        and _about(statement, "Action", request["action"], request, ignore_case=True)
        and _about(statement, "Resource", request["resource"], request, ignore_case=False)
        and _holds(statement.get("Condition", {}), request)
    )
    if not about:
        return NOTHING
    return {"Allow": ALLOW, "Deny": DENY}[statement["Effect"]]


def _s(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return _list(policy.get("Statement", []))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _about_principal(statement: dict[str, Any], request: dict[str, Any]) -> bool:
    if "Principal" in statement:
        return _principal_in(statement["Principal"], request)
    if "NotPrincipal" in statement:
        return not _principal_in(statement["NotPrincipal"], request)
    return True


def _principal_in(element: Any, request: dict[str, Any]) -> bool:
    if element == "*":
        return True
    who, account = request.get("principal"), request.get("account")
    for name in _list(element.get("AWS", [])):
        if name == "*":
            return True
        if who is None:
            continue
        if name == who or name in (account, f"arn:aws:iam::{account}:root"):
            return True
        if ":assumed-role/" in who and name == "arn:aws:iam::{}:role/{}".format(
            account, who.split("/")[1]
        ):
            return True
    return who is not None and who in _list(element.get("Service", []))


def _about(
    statement: dict[str, Any], name: str, value: str, request: dict[str, Any], ignore_case: bool
) -> bool:
    for element, wanted in ((name, True), (f"Not{name}", False)):
        if element in statement:
            hit = any(
                _wild(value, pattern, request, ignore_case) for pattern in _list(statement[element])
            )
            return hit is wanted
    return True


def _context(request: dict[str, Any], key: str) -> list[str] | None:
    for name, value in request.get("context", {}).items():
        if name.lower() == key.lower():
            return [str(one) for one in _list(value)]
    return None


class _Unresolved(Exception):  # noqa: N818 - no error
    pass


def _resolve(pattern: str, request: dict[str, Any]) -> str:
    """The pattern as fnmatch wants it, its variables filled in."""

    def one(match: re.Match[str]) -> str:
        name, *default = (part.strip() for part in match[1].split(",", 1))
        if name in "*?$":
            return name if name == "$" else f"[{name}]"
        values = _context(request, name)
        if values:
            return values[0]
        if default:
            return default[0].strip("'")
        raise _Unresolved

    return re.sub(r"\$\{([^}]+)\}", one, pattern.replace("[", "[[]"))


def _wild(value: str, pattern: str, request: dict[str, Any], ignore_case: bool = False) -> bool:
    try:
        pattern = _resolve(pattern, request)
    except _Unresolved:
        return False
    if ignore_case:
        value, pattern = value.lower(), pattern.lower()
    return fnmatch.fnmatchcase(value, pattern)


def _holds(conditions: dict[str, Any], request: dict[str, Any]) -> bool:
    for operator, keys in conditions.items():
        for key, wanted in keys.items():
            texts = [
                str(one).lower() if isinstance(one, bool) else str(one) for one in _list(wanted)
            ]
            if not _one_holds(operator, _context(request, key), texts, request):
                return False
    return True


def _one_holds(
    operator: str, values: list[str] | None, wanted: list[str], request: dict[str, Any]
) -> bool:
    if operator == "Null":
        return (values is None or values == []) is (wanted[0].lower() == "true")
    quantifier, name = operator.split(":") if ":" in operator else ("", operator)
    if_exists = name.endswith("IfExists")
    name = name[: -len("IfExists")] if if_exists else name
    negative = "Not" in name
    compare = _COMPARE[name.replace("Not", "")]

    def fits(value: str) -> bool:
        hits = [compare(value, one, request) for one in wanted]
        return not any(hits) if negative else any(hits)

    if not values:
        if quantifier == "ForAllValues":
            return True
        if quantifier == "ForAnyValue":
            return False
        return if_exists or negative
    results = [fits(value) for value in values]
    return any(results) if quantifier == "ForAnyValue" else all(results)


def _exact(value: str, wanted: str, request: dict[str, Any]) -> bool:
    try:
        plain = _resolve(wanted, request)
    except _Unresolved:
        return False
    return value == plain.replace("[[]", "[").replace("[*]", "*").replace("[?]", "?")


def _no_case(value: str, wanted: str, request: dict[str, Any]) -> bool:
    return _exact(value.lower(), wanted.lower(), request)


def _arn(value: str, wanted: str, request: dict[str, Any]) -> bool:
    parts, patterns = value.split(":", 5), wanted.split(":", 5)
    if len(parts) != 6 or len(patterns) != 6:
        return False
    return all(_wild(*pair, request) for pair in zip(parts, patterns, strict=True))


def _address(value: str, wanted: str, request: dict[str, Any]) -> bool:
    del request
    network = ipaddress.ip_network(wanted, strict=False)
    address = ipaddress.ip_address(value)
    return address.version == network.version and address in network


def _when(text: str) -> float:
    return float(text) if text.isdigit() else datetime.fromisoformat(text).timestamp()


def _ordered(convert: Any, better: Any) -> Any:
    def compare(value: str, wanted: str, request: dict[str, Any]) -> bool:
        del request
        try:
            return bool(better(convert(value), convert(wanted)))
        except ValueError:
            return False

    return compare


_COMPARE: dict[str, Any] = {
    "StringEquals": _exact,
    "StringEqualsIgnoreCase": _no_case,
    "StringLike": _wild,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "Bool": lambda value, wanted, _request: value.lower() == wanted.lower(),
    "BinaryEquals": lambda value, wanted, _request: value == wanted,
    "IpAddress": _address,
}
for _kind, _convert in (("Numeric", float), ("Date", _when)):
    _COMPARE |= {
        f"{_kind}Equals": _ordered(_convert, lambda a, b: a == b),
        f"{_kind}LessThan": _ordered(_convert, lambda a, b: a < b),
        f"{_kind}LessThanEquals": _ordered(_convert, lambda a, b: a <= b),
        f"{_kind}GreaterThan": _ordered(_convert, lambda a, b: a > b),
        f"{_kind}GreaterThanEquals": _ordered(_convert, lambda a, b: a >= b),
    }
