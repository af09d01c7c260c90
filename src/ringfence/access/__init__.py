# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can get at what: collected accesses, joined to people, judged, and told."""

from ringfence.access.model import Coverage, Finding, Population

__all__ = ["Coverage", "Finding", "Population"]
