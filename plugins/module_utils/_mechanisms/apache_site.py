# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Apache's sites give out: hidden files, copies, scripts among uploads, pages about itself.

Judged by following requests through each site's configuration and .htaccess files. What is refused
is refused for the whole server, before a site's own rules are asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _apache,
    _apache_request,
    _web,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

# check: hidden (the value: names), copies (endings), uploads (folders), upload_overrides (folders),
# status (handlers that only the host itself may ask), unknown_names or root.
PARAMS = {"check": "str"}
VALUE = ("list", "str")

_REFUSALS = ("hidden", "copies", "uploads")
_SCRIPTS = ("x.php", "2026/01/x.phtml", "x.php7")
_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]+")
_PHP = r"\.(?:php\d*|phtml|phar|pht)(?:/|$)"
# What an .htaccess may set and still run nothing.
_HARMLESS = {"authconfig", "limit", "nonfatal=override", "nonfatal=all", "nonfatal=unknown"}


class _Wrong(NamedTuple):
    """Where something is given out that should not be, and what."""

    place: str
    said: str


def observe(host: Host, control: Control) -> Observation:
    configuration = _apache.read(host)
    check = control.params["check"]
    if check not in _CHECKS:
        raise HostError(f"there is no check {check}")
    found = list(_CHECKS[check](host, configuration, control))
    state = {
        "sites": len(configuration.sites()),
        "found": found,
        "configuration": configuration,
    }
    said = list(dict.fromkeys(f"{wrong.place}: {wrong.said}" for wrong in found))
    return Observation(state, _web.shortened(said) or "nothing")


def judge(control: Control, observation: Observation) -> Verdict:
    if not observation.state["sites"]:
        return Verdict(NOT_APPLICABLE, "Apache has no site")
    if not observation.state["found"]:
        return Verdict(PASS)
    by_hand = control.params["check"] not in _REFUSALS
    return Verdict(FAIL, observation.shown, by_hand=by_hand)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    check = control.params["check"]
    if check not in _REFUSALS:
        raise HostError("what a site's own file decides is a person's to change")
    configuration = observation.state["configuration"]
    _apache.stage_part(stage, configuration, check, _rule(control), module="alias")


def _given_out(
    host: Host, configuration: _apache.Configuration, control: Control
) -> Iterator[_Wrong]:
    check = control.params["check"]
    wrong: tuple[str, ...] = (_apache_request.EXECUTED,)
    if check != "uploads":
        wrong = (_apache_request.EXECUTED, _apache_request.SERVED)
    files = _files_by_root(host, configuration)
    for site in configuration.sites():
        for uri in _probes(host, control, site):
            request = _apache_request.Request(host, site, uri, files.get(site.root, ()))
            outcome, place = _apache_request.answer(request)
            if outcome in wrong:
                verb = "executes" if outcome == _apache_request.EXECUTED else "gives out"
                yield _Wrong(place, f"{site.label} {verb} {uri}")
                break


def _files_by_root(
    host: Host, configuration: _apache.Configuration
) -> dict[str, tuple[_apache.Directive, ...]]:
    found: dict[str, tuple[_apache.Directive, ...]] = {}
    for site, top in _apache.htaccess(host, configuration):
        found[site.root] = (*found.get(site.root, ()), top)
    return found


def _probes(host: Host, control: Control, site: _apache.Site) -> list[str]:
    check, value = control.params["check"], control.value
    if check == "hidden":
        return [f"{start}/{name}{rest}" for name in value for start in ("", "/a") for rest in
                ("", "/config")]  # fmt: skip
    if check == "copies":
        return [f"{start}{end}" for end in value for start in ("/index.php", "/a/wp-config.php")]
    folders = _upload_folders(host, control, site)
    return [f"/{folder}/{script}" for folder in folders for script in _SCRIPTS]


def _upload_folders(host: Host, control: Control, site: _apache.Site) -> list[str]:
    named = [folder.strip("/") for folder in control.value]
    return [folder for folder in named if host.exists(f"{site.root}/{folder}")]


def _rule(control: Control) -> str:
    check, value = control.params["check"], control.value
    for item in value:
        if not _PLAIN.fullmatch(item):
            raise HostError(f"{item}: expected letters, digits and . _ ~ / -")
    joined = "|".join(re.escape(item.strip("/")).replace("\\-", "-") for item in value)
    if check == "hidden":
        if not all(name.startswith(".") for name in value):
            raise HostError("a hidden file begins with a dot")
        return 'RedirectMatch 403 "/\\.(?!well-known(?:/|$))"\n'
    if check == "copies":
        return f'RedirectMatch 403 "(?i)(?:{joined})$"\n'
    return f'RedirectMatch 403 "(?i)^/(?:{joined})/.*{_PHP}"\n'


def _overridable(
    host: Host, configuration: _apache.Configuration, control: Control
) -> Iterator[_Wrong]:
    """Folders of uploads in which an uploaded .htaccess could have anything run."""
    for site in configuration.sites():
        for folder in _upload_folders(host, control, site):
            path = os.path.normpath(f"{site.root}/{folder}")
            allowed = _apache.overrides(site, path) - _HARMLESS
            if allowed:
                said = f"{site.label} takes {', '.join(sorted(allowed))} from .htaccess in {path}"
                yield _Wrong(site.place, said)


def _status_pages(
    host: Host, configuration: _apache.Configuration, control: Control
) -> Iterator[_Wrong]:
    """Handlers about Apache itself in a section that strangers may ask."""
    del host
    wanted = {name.lower() for name in control.value}
    for block in (configuration.main, *configuration.main.own("virtualhost")):
        for section in _apache.sections(block):
            handlers = {word.lower() for at in section.own("sethandler") for word in at.args}
            if handlers & wanted and not _apache_request.keeps_strangers_out(section):
                said = f"{sorted(handlers & wanted)[0]} can be asked by anybody"
                yield _Wrong(section.place, said)


def _answer_to_any_name(
    host: Host, configuration: _apache.Configuration, control: Control
) -> Iterator[_Wrong]:
    """Of each address and port the site that answers names that nobody has: the first one."""
    del control
    first: dict[str, _apache.Site] = {}
    for site in configuration.sites():
        for address in site.addresses:
            first.setdefault(address.replace("_default_", "*"), site)
    for where, site in first.items():
        request = _apache_request.Request(host, site, "/x.html", ())
        if not _apache_request.refuses(request):
            said = f"{site.label} answers on {where} to any name there is"
            yield _Wrong(site.place, said)


def _open_root(
    host: Host, configuration: _apache.Configuration, control: Control
) -> Iterator[_Wrong]:
    """Whether files outside of all sites are shut, and no .htaccess is read there."""
    del host, control
    root = [at for at in configuration.main.own("directory") if at.args[:1] == ["/"]]
    if not any(_apache_request.keeps_strangers_out(section) for section in root):
        place = root[-1].place if root else _apache.MAIN
        yield _Wrong(place, 'no <Directory "/"> has Require all denied')
    for section in root:
        if _apache_request.keeps_strangers_out(section) is False:
            yield _Wrong(section.place, "files outside of all sites can be reached")
        for at in section.own("allowoverride"):
            if [word.lower() for word in at.args] != ["none"]:
                yield _Wrong(at.place, f"AllowOverride {' '.join(at.args)} for all files there are")


_CHECKS = {
    "hidden": _given_out,
    "copies": _given_out,
    "uploads": _given_out,
    "upload_overrides": _overridable,
    "status": _status_pages,
    "unknown_names": _answer_to_any_name,
    "root": _open_root,
}
