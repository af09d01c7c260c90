# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a client register: read, checked against their JSON schema, problems in one line.

YAML is read as version 1.2 has it, like editors that check against a schema do: `no` and `NO` are
texts, `22:00` is a text, `010` is not eight. Nothing here knows Ansible.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import nearest

SCHEMAS = Path(__file__).parent / "schemas"
KINDS = ("client", "people", "third_parties", "waivers", "tiers", "blocked")

ERROR = "error"
WARNING = "warning"

Decrypt = Callable[[bytes], bytes]
Where = Sequence[str | int]

_DEEPEST = 30
_VAULT_HEADER = b"$ANSIBLE_VAULT;"
# What the inventory is built from must be readable without a vault password.
_ALWAYS_PLAIN = frozenset(
    (
        *("id", "tier", "status", "host", "hosts", "groups", "sites", "clients", "domains", "cms"),
        *("web_server", "control", "owner", "approver", "third_party", "extends", "timezone"),
        *("expires", "left", "start", "end", "every", "lock"),
    )
)


class Vaulted(str):
    """A value that ansible-vault encrypted: carried as its cipher text, never looked into."""

    __slots__ = ()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, at one place.

    An `error` keeps the register from being used. A `warning` is what the calendar or a decision
    brought about (an expired waiver, a leaver): it is said, and counted, but stops nothing.
    `code` is stable and made for machines.
    """

    file: Path
    line: int
    path: str
    message: str
    level: str = ERROR
    code: str = "invalid"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return place + (f"{self.path}: " if self.path else "") + self.message


class UnreadableError(Exception):
    """A file that is no YAML mapping. `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


@dataclass
class RegisterFile:
    """A file, its text and what it holds; knows the line of every place in it."""

    path: Path
    kind: str
    text: bytes = b""
    document: dict[str, Any] = field(default_factory=dict)
    encrypted: bool = False
    _node: Any = None

    @property
    def has_secrets(self) -> bool:
        """Whether any of it, or all, is encrypted."""
        return self.encrypted or b"!vault" in self.text

    def problem(
        self, where: Where, message: str, level: str = ERROR, code: str = "invalid"
    ) -> Problem:
        """A problem at `where`, a path of keys and indexes."""
        return Problem(self.path, self.line(where), spelt(where), message, level, code)

    def line(self, where: Where) -> int:
        """The line of `where`, or of the nearest thing around it that is there; 0 if none."""
        if self._node is None:
            try:
                self._node = yaml.compose(self.text, Loader=_Loader)
            except yaml.YAMLError:
                return 0
        node, line = self._node, 1
        for step in where:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return line


def read(path: Path, kind: str, decrypt: Decrypt | None = None) -> RegisterFile:
    """The file at `path`. Raises UnreadableError."""
    file = RegisterFile(path, kind)
    try:
        file.text = path.read_bytes()
        if file.text.startswith(_VAULT_HEADER):
            file.encrypted, file.text = True, _decrypted(file, decrypt)
        document = yaml.load(file.text, Loader=_Loader)  # noqa: S506 - a safe loader, in C
    except OSError as error:
        raise UnreadableError(Problem(path, 0, "", f"cannot be read: {error.strerror}")) from None
    except (UnicodeDecodeError, yaml.reader.ReaderError) as error:
        said = f"is not UTF-8 text: {_first_line(error)}"
        raise UnreadableError(Problem(path, 0, "", said)) from None
    except yaml.YAMLError as error:
        raise UnreadableError(_yaml_problem(path, error)) from None
    if not isinstance(document, dict):
        found = "an empty file" if document is None else type_name(document)
        raise UnreadableError(Problem(path, 1, "", f"found {found}, expected a mapping"))
    if _is_too_deep(document):
        raise UnreadableError(Problem(path, 0, "", "is nested too deeply"))
    file.document = document
    return file


def _is_too_deep(document: Any) -> bool:
    """Whether a document would exhaust the stack of what walks through it."""
    level = [document]
    for _depth in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _decrypted(file: RegisterFile, decrypt: Decrypt | None) -> bytes:
    said = "is encrypted as a whole and no vault password opens it"
    if decrypt is None:
        raise UnreadableError(Problem(file.path, 0, "", said))
    try:
        return decrypt(file.text)
    except Exception as error:
        # whatever a vault backend raises: its text may hold what it failed on
        raise UnreadableError(Problem(file.path, 0, "", said)) from error


def schema_problems(file: RegisterFile) -> list[Problem]:
    """Each way in which a file departs from its schema, in the order of its lines."""
    quick = _quick_validator(file.kind)
    if quick is not None and quick(file.document):
        return []
    problems = [
        file.problem(where, message) for where, message in _schema_errors(file.kind, file.document)
    ]
    return sorted(set(problems), key=lambda problem: (problem.line, problem.path))


def encrypted_names(file: RegisterFile) -> Iterator[Problem]:
    """Values that are encrypted although the inventory is built from them."""
    for where, value in walk(file.document) if b"!vault" in file.text else ():
        keys = [step for step in where if isinstance(step, str)]
        plain = keys[-1] in _ALWAYS_PLAIN or not _ALWAYS_PLAIN.isdisjoint(keys[-2:-1])
        if isinstance(value, Vaulted) and (plain or "controls" in keys):
            yield file.problem(where, "is encrypted, expected plain text: the inventory needs it")


def walk(value: Any, where: tuple[str | int, ...] = ()) -> Iterator[tuple[list[str | int], Any]]:
    """All values that are neither mapping nor list, with the path to each."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, (*where, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from walk(inner, (*where, number))
    else:
        yield list(where), value


def spelt(where: Where) -> str:
    """`sites[1].domains[0]`."""
    text = ""
    for step in where:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def shown(value: Any) -> str:
    """A value as messages quote it: short, in one line, nothing of an encrypted one."""
    if isinstance(value, Vaulted):
        return "an encrypted value"
    if isinstance(value, (dict, list)):
        return type_name(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + '…"'


def type_name(value: Any) -> str:
    """The YAML type of a value, as people call it."""
    names = {dict: "a mapping", list: "a list", bool: "true or false", int: "a whole number"}
    return names.get(type(value), "a number" if isinstance(value, float) else "a text")


@cache
def schema(kind: str) -> dict[str, Any]:
    """The JSON schema of a kind of file, with the shared definitions in it."""
    shared = json.loads((SCHEMAS / "definitions.json").read_text(encoding="utf-8"))["$defs"]
    text = (SCHEMAS / f"{kind}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text.replace("definitions.json#", "#"))
    found["$defs"] = {**shared, **found.get("$defs", {})}
    return found


def checker_sha256() -> str:
    """Of the schemas and of this code: what an older Ringfence let through is checked again."""
    sources = [*sorted(SCHEMAS.glob("*.json")), Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def is_network(value: object) -> bool:
    """Whether a text is an address or a network without stray host bits."""
    try:
        return isinstance(value, str) and ip_network(value) is not None
    except ValueError:
        return False


def is_timezone(value: object) -> bool:
    """Whether this machine knows a time zone of that name."""
    try:
        return isinstance(value, str) and ZoneInfo(value) is not None
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError on some, OSError on others
        return False
    except KeyError:
        return False


def is_date(value: object) -> bool:
    """Whether a text is a day that exists, as 2027-01-31."""
    try:
        return isinstance(value, str) and date.fromisoformat(value) is not None
    except ValueError:
        return False


_FORMATS: dict[str, Callable[[object], bool]] = {
    "network": is_network,
    "timezone": is_timezone,
    "date": is_date,
}


@cache
def _quick_validator(kind: str) -> Callable[[Any], bool] | None:
    """Says only whether a document is good, a hundred times faster; None where not installed."""
    try:
        import jsonschema_rs
    except ImportError:
        return None
    validator = jsonschema_rs.Draft202012Validator(
        schema(kind), formats=_FORMATS, validate_formats=True
    )

    def good(document: Any) -> bool:
        try:
            return bool(validator.is_valid(document))
        except ValueError:  # it knows no encrypted values: the thorough one does
            return False

    return good


@cache
def _thorough_validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator, FormatChecker

    checker = FormatChecker(formats=())
    for name, check in _FORMATS.items():
        checker.checks(name)(check)
    return Draft202012Validator(schema(kind), format_checker=checker)


def _schema_errors(kind: str, document: Any) -> Iterator[tuple[list[str | int], str]]:
    for error in _thorough_validator(kind).iter_errors(document):
        where = list(error.absolute_path)
        if isinstance(error.instance, Vaulted):
            continue
        if error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            for key in error.instance:
                if key not in known:
                    yield [*where, key], f"unknown key{_or_near(str(key), known)}"
        elif error.validator == "required":
            for key in error.validator_value:
                if key not in error.instance and f"'{key}'" in error.message:
                    yield where, f"{key} is missing{_kin(key, error.schema)}"
        elif error.validator == "propertyNames" or "propertyNames" in error.absolute_schema_path:
            yield where, f"found the key {shown(error.instance)}, expected {_expected(error)}"
        else:
            yield where, f"found {shown(error.instance)}, expected {_expected(error)}"


def _or_near(key: str, known: Iterable[str]) -> str:
    return nearest(key, known) or f", expected one of {', '.join(known)}"


def _kin(key: str, schema_part: dict[str, Any]) -> str:
    reference = schema_part.get("properties", {}).get(key, {})
    said = reference.get("x-expected") or _definition(reference).get("x-expected")
    if "enum" in reference:
        said = f"one of {', '.join(reference['enum'])}"
    return f", expected {said}" if said else ""


def _definition(part: dict[str, Any]) -> dict[str, Any]:
    name = str(part.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = schema("client")["$defs"].get(name, {})
    return found


def _expected(error: Any) -> str:
    rule, limit, value = error.validator, error.validator_value, error.instance
    said = error.schema.get("x-expected")
    if rule == "type":
        wanted = {"object": "a mapping", "array": "a list", "string": "a text"}.get(limit)
        wanted = wanted or {"integer": "a whole number", "boolean": "true or false"}.get(limit)
        quotes = limit == "string" and isinstance(value, (bool, int, float))
        hint = f" (put it in quotes: {json.dumps(str(value).lower())})" if quotes else ""
        return f"{said or wanted or limit}{hint}"
    if rule == "enum":
        near = nearest(str(value), map(str, limit)) if isinstance(value, str) else ""
        return f"one of {', '.join(map(str, limit))}{near}"
    if rule == "const":
        return json.dumps(limit)
    if rule == "minItems":
        return f"at least {limit} entry" if limit == 1 else f"at least {limit} entries"
    if rule == "uniqueItems":
        return "a list in which nothing comes twice"
    if rule in ("minimum", "maximum"):
        return f"at {'least' if rule == 'minimum' else 'most'} {limit}"
    return said or str(error.message)


def _yaml_problem(path: Path, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark is not None else 0
    return Problem(path, line, "", f"is not YAML: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    text = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return str(text).splitlines()[0]


def _child(node: Any, step: str | int) -> tuple[int, Any] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    return None


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        written = len(node.value)
        merges = any(key.tag == "tag:yaml.org,2002:merge" for key, _value in node.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        if not merges and len(mapping) != written:
            self._refuse_duplicate(node)
        return mapping

    def _refuse_duplicate(self, node: Any) -> None:
        seen = set()
        for key, _value in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} comes twice", key.start_mark
                )
            seen.add(key.value)


def _vaulted(loader: Any, node: Any) -> Vaulted:
    return Vaulted(loader.construct_scalar(node))


def _plain_integer(loader: Any, node: Any) -> int:
    return int(loader.construct_scalar(node))


_Loader.add_constructor("!vault", _vaulted)
_Loader.add_constructor("!vault-encrypted", _vaulted)
_Loader.add_constructor("tag:yaml.org,2002:int", _plain_integer)
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    ("float", r"^[-+]?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?$", list("-+0123456789")),
    ("merge", r"^<<$", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
