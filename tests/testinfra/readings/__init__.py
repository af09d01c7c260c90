# SPDX-License-Identifier: GPL-3.0-or-later
"""How each control shows on a host, read with the host's own commands and compared with literals.

Nothing here comes from Ringfence's own modules or declarations: a mistake that both shared would
hide itself. One file a family; `READINGS` of each are joined here.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from tests.testinfra.readings._shared import Reading

FAMILIES: dict[str, dict[str, Reading]] = {
    module.name: import_module(f"{__name__}.{module.name}").READINGS
    for module in pkgutil.iter_modules(__path__)
    if not module.name.startswith("_")
}
READINGS = {name: reading for family in FAMILIES.values() for name, reading in family.items()}

__all__ = ["FAMILIES", "READINGS", "Reading"]
