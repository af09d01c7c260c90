# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether sites are on the host as the register declares them; what is not is told, not guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Site = dict[str, Any]


def fitted(
    sites: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]] | None
) -> tuple[list[Site], dict[str, str]]:
    """The declared sites, completed by what was found; and client__site -> why it does not fit.

    `found`: sites as site_info returns them; None where the host was not asked.
    """
    completed, misfits = [], {}
    for site in sites:
        mine = dict(site)
        if found is not None:
            match = _served(site, found)
            problem = _problem(site, match)
            if problem:
                misfits[f"{site['client']}__{site['id']}"] = problem
            elif match is not None:
                mine["cms"] = {**_cms(match), **(site.get("cms") or {})}
        completed.append(mine)
    return completed, misfits


def _served(
    site: Mapping[str, Any], found: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    domains = set(site["domains"])
    return next((each for each in found if domains & set(each["domains"])), None)


def _problem(site: Mapping[str, Any], match: Mapping[str, Any] | None) -> str:
    if match is None:
        return f"the host serves no site {site['domains'][0]}"
    declared_cms = (site.get("cms") or {}).get("name")
    found_cms = (match.get("cms") or {}).get("name")
    for key, declared, there in (
        ("root", str(site["root"]).rstrip("/"), str(match.get("root", "")).rstrip("/")),
        ("cms", declared_cms, found_cms if _is_known(found_cms, declared_cms) else declared_cms),
    ):
        if declared != there:
            return f"{key} is {there} on the host, the register says {declared}"
    return ""


def _is_known(found: Any, declared: Any) -> bool:
    """Whether what was found contradicts a declaration; a CMS in a folder of its own may hide."""
    cms = ("wordpress", "joomla")
    return bool(declared) and (found in cms or declared in cms)


def _cms(match: Mapping[str, Any]) -> dict[str, Any]:
    found = match.get("cms") or {}
    return {key: found[key] for key in ("name", "path") if key in found}
