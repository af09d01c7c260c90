# SPDX-License-Identifier: GPL-3.0-or-later
"""Access that is given and taken on real hosts."""

from __future__ import annotations

from typing import Any

# A register needs a client; this one has a site on the host `old`.
_CONTACT = {"name": "P", "email": "p@acme.example"}
CLIENT: dict[str, Any] = {
    "id": "acme",
    "name": "Acme Company",
    "tier": "standard",
    "controller": {"name": "Acme Ltd", "country": "GB", "contact": _CONTACT},
    "sites": [
        {"id": "shop", "host": "old", "domains": ["shop.example"], "web_server": "nginx",
         "root": "/var/www/shop/public", "user": "site_shop"},
    ],
}  # fmt: skip
