# SPDX-License-Identifier: GPL-3.0-or-later
"""Run documents: read, checked against the schema, put into canonical form."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn, Protocol

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from ringfence.evidence.errors import DocumentError

Document = dict[str, Any]
HOST = "host"
# What a collection may be of.
COLLECTED = ("access", "bans")


class Catalogue(Protocol):
    """The controls that a run asked, by id, with titles and reasons; benchmarks by name."""

    @property
    def sha256(self) -> str: ...
    @property
    def controls(self) -> Mapping[str, Any]: ...
    @property
    def benchmarks(self) -> Any: ...


def read(path: Path) -> Document:
    """The run document or collection in `path`, checked. Raises DocumentError."""
    document = _read(path)
    if is_collection(document):
        check_collection(document, str(path))
    else:
        check(document, str(path))
    return dict(document)


def is_collection(document: Any) -> bool:
    """Whether this is what a run collected (accesses, bans), and no document of results."""
    return isinstance(document, dict) and document.get("kind") in COLLECTED


def check_collection(document: Any, source: str) -> None:
    """Hold a collection against what the store must know of it. Raises DocumentError."""
    run = document.get("run")
    texts = ("id", "started", "finished", "playbook")
    if not isinstance(run, dict) or not all(isinstance(run.get(name), str) for name in texts):
        raise DocumentError(f"{source}: run: expected a mapping with {', '.join(texts)}")
    targets = document.get("targets")
    if not isinstance(targets, list):
        raise DocumentError(f"{source}: targets: expected a list")
    for number, target in enumerate(targets):
        where = f"targets[{number}]"
        if not isinstance(target, dict) or not isinstance(target.get("name"), str):
            raise DocumentError(f"{source}: {where}: expected a mapping with a name")
        if target.get("state") not in ("ok", "unreachable", "error", "not_run"):
            raise DocumentError(f"{source}: {where}.state: is none that is known")
        documents = target.get("documents")
        if not isinstance(documents, list) or not all(
            isinstance(one, dict) and isinstance(one.get("rows"), list) for one in documents
        ):
            raise DocumentError(f"{source}: {where}.documents: expected documents with rows")


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path}: cannot be read: {error}") from None
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{path}: is not JSON: {error}") from None
    return document


def check(document: Any, source: str) -> None:
    """Hold `document` against the schema. Raises DocumentError naming `source` and the path."""
    _check_part(_less(document, "hosts"), "document", source, "")
    names: set[str] = set()
    accepted: set[str] = set()
    for number, host in enumerate(document["hosts"]):
        where = f"hosts[{number}]"
        _check_part(_less(host, "results"), "host", source, where)
        if host["name"] in names:
            raise DocumentError(f"{source}: {where}.name: is there twice")
        names.add(host["name"])
        _check_results(host["results"], f"{where}.results", source, accepted)


def _less(value: object, key: str) -> object:
    """`value` with an empty list at `key`; as it is where there is no list to leave out."""
    if isinstance(value, dict) and isinstance(value.get(key), list):
        return {**value, key: []}
    return value


def _check_results(results: list[Any], where: str, source: str, accepted: set[str]) -> None:
    ids: set[str] = set()
    for number, result in enumerate(results):
        # a fleet's results are alike: hold each distinct one against the schema once
        key = repr(result)
        if key not in accepted:
            _check_part(result, "result", source, f"{where}[{number}]")
            accepted.add(key)
        if result["id"] in ids:
            raise DocumentError(f"{source}: {where}[{number}].id: is there twice")
        ids.add(result["id"])


@cache
def _validator(part: str) -> Draft202012Validator:
    schema = json.loads(files("ringfence.evidence").joinpath("run.schema.json").read_text())
    if part == "document":
        return Draft202012Validator(schema)
    return Draft202012Validator({"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]})


def _check_part(value: object, part: str, source: str, where: str) -> None:
    error = best_match(_validator(part).iter_errors(value))
    if error is not None:
        raise DocumentError(f"{source}: {_path(error, where)}: {_shortened(error.message)}")


def _path(error: ValidationError, where: str) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path]
    return (where + "".join(steps)).lstrip(".") or "the document"


def _shortened(message: str) -> str:
    message = " ".join(message.encode("ascii", "backslashreplace").decode().split())
    return message if len(message) <= 200 else f"{message[:100]} … {message[-90:]}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def kind_of(host: Mapping[str, Any]) -> str:
    """What a row of a run speaks of: a host, or a bucket, backup, … where it says so."""
    return str(host["host"].get("kind", HOST))


def is_demanded(result: Mapping[str, Any]) -> bool:
    """Whether the host's profile asks for a result's control; what is not asked for counts nowhere.

    A document that says nothing of it is of a time when everything was demanded.
    """
    return result.get("demanded") is not False


def canonical(value: object) -> bytes:
    """The one form that is hashed: sorted keys, no blanks, ASCII. Raises DocumentError."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DocumentError(f"not JSON: {error}") from None
    return text.encode("ascii")


def sha256(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def collection_summary(document: Document) -> dict[str, Any]:
    """What is kept of a collection even after its details are pruned: no account, no person."""
    run, targets = document["run"], document["targets"]
    states: Counter[str] = Counter(target["state"] for target in targets)
    rows = sum(len(one["rows"]) for target in targets for one in target["documents"])
    kept = {key: run[key] for key in ("id", "started", "finished", "playbook")}
    return {**kept, "kind": document["kind"], "targets": dict(sorted(states.items())), "rows": rows}


def summary(document: Document) -> dict[str, Any]:
    """What is kept of a run even after its details are pruned: no host, no person."""
    run = document["run"]
    keys = ("id", "started", "finished", "mode", "playbook", "catalogue_sha256")
    hosts: Counter[str] = Counter(host["state"] for host in document["hosts"])
    counts: Counter[str] = Counter()
    for host in document["hosts"]:
        counts.update([result["status"] for result in host["results"]])
    kinds = sorted({kind_of(host) for host in document["hosts"]})
    return {
        **({"kinds": kinds} if kinds not in ([], [HOST]) else {}),
        **{key: run[key] for key in keys},
        "interrupted": bool(run.get("interrupted")),
        "hosts": dict(sorted(hosts.items())),
        "counts": dict(sorted(counts.items())),
    }
