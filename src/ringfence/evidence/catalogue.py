# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a catalogue of controls that is kept with the runs that asked it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringfence.evidence.document import Catalogue, canonical
from ringfence.evidence.errors import DocumentError

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CatalogueCopy:
    """A catalogue as it was: `controls` by id, `benchmarks` by name."""

    sha256: str
    controls: Mapping[str, Any] = field(default_factory=dict)
    benchmarks: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> CatalogueCopy:
        """The copy in a JSON file. Raises DocumentError."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DocumentError(f"{path}: cannot be read as JSON: {error}") from None
        return cls.parse(value, str(path))

    @classmethod
    def parse(cls, value: object, source: str) -> CatalogueCopy:
        """The copy in decoded JSON. Raises DocumentError naming `source`."""
        if not isinstance(value, dict) or not _SHA256.fullmatch(str(value.get("sha256"))):
            raise DocumentError(f"{source}: sha256: expected 64 hexadecimal digits")
        controls, benchmarks = value.get("controls"), value.get("benchmarks") or {}
        if not isinstance(controls, dict) or not all(
            isinstance(c, dict) for c in controls.values()
        ):
            raise DocumentError(f"{source}: controls: expected a mapping of mappings")
        if not isinstance(benchmarks, dict):
            raise DocumentError(f"{source}: benchmarks: expected a mapping")
        return cls(str(value["sha256"]), dict(controls), benchmarks)


def encode(catalogue: Catalogue) -> bytes:
    """The catalogue in canonical JSON."""
    return canonical(
        {
            "sha256": catalogue.sha256,
            "controls": dict(catalogue.controls),
            "benchmarks": dict(catalogue.benchmarks or {}),
        }
    )
