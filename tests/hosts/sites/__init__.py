# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosting servers with live sites: WordPress twice and a plain PHP site, on nginx or Apache."""

from __future__ import annotations

from tests.hosts.sites.servers import DOMAINS, SITES, Servers, ensure_site_image

__all__ = ["DOMAINS", "SITES", "Servers", "ensure_site_image"]
