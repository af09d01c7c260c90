# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes `ansible_collections.ringfence.hosting` importable from a plain checkout."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([str(Path(__file__).parent / "collections")])
