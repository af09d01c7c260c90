# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the collection `ringfence.hosting`, and what Ansible's own settings say.

A plain checkout, an editable install and an installed collection all work: Ansible's configured
paths are asked first, then the checkout that this package may lie in.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ringfence.errors import BadInputError

NAME = "ringfence.hosting"
EVIDENCE_CALLBACK = f"{NAME}.evidence"
CLIENTS_INVENTORY = f"{NAME}.clients"
_RELATIVE = Path("ansible_collections/ringfence/hosting")


@dataclass(frozen=True)
class Collection:
    """Where the collection lies. `configured`: Ansible finds it there without being told."""

    root: Path
    configured: bool

    @property
    def search_path(self) -> Path:
        """The folder that holds `ansible_collections`."""
        return self.root.parents[2]

    def playbook(self, name: str) -> str:
        """How to name a playbook to ansible-playbook: as a path in a checkout, else by FQCN."""
        path = Path("playbooks") / f"{name}.yml"
        own = self.root / path
        if path.exists() and own.exists() and path.samefile(own):
            return str(path)
        return f"{NAME}.{name}"


@cache
def find() -> Collection:
    """The collection. Raises BadInputError."""
    configured = [Path(path) for path in _settings().COLLECTIONS_PATHS]
    for number, path in enumerate([*configured, *_fallbacks()]):
        base = path.parent if path.name == "ansible_collections" else path
        root = base / _RELATIVE
        if (root / "playbooks" / "audit.yml").is_file():
            return Collection(Path(os.path.abspath(root)), number < len(configured))
    raise BadInputError(
        f"the collection {NAME} is not installed: ansible-galaxy collection install {NAME}, "
        "or start from a checkout of Ringfence"
    )


def plugin_util(name: str) -> ModuleType:
    """The module `plugins/plugin_utils/<name>.py` of the collection. Raises BadInputError."""
    return _plugin("plugin_utils", name)


def module_util(name: str) -> ModuleType:
    """The module `plugins/module_utils/<name>.py` of the collection. Raises BadInputError."""
    return _plugin("module_utils", name)


def _plugin(kind: str, name: str) -> ModuleType:
    path = str(find().search_path)
    if path not in sys.path:
        sys.path.append(path)
    return importlib.import_module(f"ansible_collections.{NAME}.plugins.{kind}.{name}")


def program(name: str) -> str:
    """The path of one of Ansible's programs: beside this Python, else on PATH.

    Raises BadInputError.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if not found:
        raise BadInputError(f"{name} is not installed: pip install ansible-core")
    return found


def environment(evidence_dir: Path | None = None, store: str | None = None) -> dict[str, str]:
    """What must be set, beside the caller's own environment, for our plugins to be used."""
    settings = _settings()
    needed: dict[str, str] = {}
    collection = find()
    if not collection.configured:
        paths = [str(collection.search_path), *map(str, settings.COLLECTIONS_PATHS)]
        needed["ANSIBLE_COLLECTIONS_PATH"] = ":".join(paths)
    callbacks = list(settings.CALLBACKS_ENABLED or [])
    if EVIDENCE_CALLBACK not in callbacks:
        needed["ANSIBLE_CALLBACKS_ENABLED"] = ",".join([*callbacks, EVIDENCE_CALLBACK])
    inventories = list(settings.config.get_config_value("INVENTORY_ENABLED"))
    if CLIENTS_INVENTORY not in inventories:
        needed["ANSIBLE_INVENTORY_ENABLED"] = ",".join([CLIENTS_INVENTORY, *inventories])
    if evidence_dir is not None and evidence_dir != default_evidence_dir():
        needed["RINGFENCE_EVIDENCE_DIR"] = str(evidence_dir)
    if store is not None and store != default_store():
        needed["RINGFENCE_EVIDENCE_STORE"] = store
    return needed


def host_key_checking() -> bool:
    """Whether Ansible refuses hosts whose key it does not know."""
    return bool(_settings().HOST_KEY_CHECKING)


def default_inventory() -> list[str]:
    """The inventory that Ansible's settings name."""
    return [str(source) for source in _settings().DEFAULT_HOST_LIST]


def default_evidence_dir() -> Path:
    """Where the evidence callback writes when nothing else is said."""
    found = os.environ.get("RINGFENCE_EVIDENCE_DIR") or _own_setting("evidence_dir")
    if found:
        return Path(os.path.abspath(_beside_configuration(os.path.expanduser(found))))
    return Path.cwd() / "evidence"


def default_store() -> str | None:
    """The evidence store's URL where one is set; None: a file in the evidence folder."""
    return os.environ.get("RINGFENCE_EVIDENCE_STORE") or _own_setting("evidence_store")


def _settings() -> Any:
    try:
        from ansible import constants
    except Exception as error:  # ansible-core says what is wrong with ansible.cfg in many ways
        said = " ".join(str(error).split())
        raise BadInputError(f"Ansible's settings cannot be used: {said}") from error
    return constants


def _fallbacks() -> Iterator[Path]:
    package = Path(__file__).resolve().parent
    yield package.parents[1] / "collections"
    yield from (Path(entry) for entry in sys.path if entry)


def _configuration_file() -> Path | None:
    found = _settings().CONFIG_FILE
    return Path(os.fsdecode(found)) if found else None


def _own_setting(name: str) -> str | None:
    path = _configuration_file()
    if path is None:
        return None
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (ConfigError, UnicodeDecodeError):
        return None  # Ansible, which reads the same file, says what is wrong with it
    return parser.get("ringfence", name, fallback=None)


def _beside_configuration(path: str) -> str:
    configuration = _configuration_file()
    if os.path.isabs(path) or "RINGFENCE_EVIDENCE_DIR" in os.environ or configuration is None:
        return path
    return str(configuration.parent / path)
