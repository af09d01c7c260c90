# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of folders that Apache serves: whether one is in force at or below a document root.

What Debian's own files say for a folder is overruled for the same folder in a drop-in of ours; what
a virtual host or an .htaccess says for itself is told.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _apache,
    _apache_request,
    _web,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._control import (
    FAIL,
    PASS,
    Control,
    Observation,
    Stage,
    Verdict,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

# option: of Options, what should not be on. instead: what is switched on in its place. module: what
# must be loaded for it to do anything.
PARAMS = {"option": "str", "instead": "str?", "module": "str?"}
VALUE = ("str",)

# What Apache takes where nothing is said.
_DEFAULT = {"followsymlinks"}
_ALL = {"indexes", "includes", "followsymlinks", "symlinksifownermatch", "execcgi"}


class _On(NamedTuple):
    """A directive (None: Apache's default) by which the option is on, and for which site."""

    label: str
    at: _apache.Directive | None
    section: _apache.Directive | None


def observe(host: Host, control: Control) -> Observation:
    configuration = _apache.read(host)
    module = control.params.get("module")
    if module is not None and f"{module}_module" not in configuration.modules:
        return Observation({"on": [], "configuration": configuration}, "module not loaded")
    option = str(control.params["option"]).lower()
    on: list[_On] = []
    if control.value != "on":
        for site in (site for site in configuration.sites() if not site.only_redirects):
            found = _at_root(host, configuration, site, option)
            on += [] if found is None else [found]
            on += _below_root(configuration, site, option)
        on += [
            _On(site.label, at, None)
            for site, top in _apache.htaccess(host, configuration)
            for section in (top, *_apache.sections(top))
            for at in section.own("options")
            if _switches_on(at, option)
        ]
    seen = list(dict.fromkeys(_said(control, row) for row in on))
    return Observation({"on": on, "configuration": configuration}, _web.shortened(seen) or "off")


def judge(control: Control, observation: Observation) -> Verdict:
    on = observation.state["on"]
    if not on:
        return Verdict(PASS)
    del control
    by_hand = any(_is_left(observation.state["configuration"], row) for row in on)
    return Verdict(FAIL, observation.shown, by_hand=by_hand)


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    configuration = observation.state["configuration"]
    ours = [row for row in observation.state["on"] if not _is_left(configuration, row)]
    if not ours:
        return
    folders = {"/"} | {row.section.args[0] for row in ours if row.section is not None}
    folders |= _folders_so_far(configuration, control)
    instead = control.params.get("instead")
    words = f"-{control.params['option']}" + (f" +{instead}" if instead else "")
    body = "".join(
        f'<Directory "{folder}">\nOptions {words}\n</Directory>\n' for folder in sorted(folders)
    )
    _apache.stage_part(stage, configuration, f"Options {control.params['option']}", body)


def _folders_so_far(configuration: _apache.Configuration, control: Control) -> set[str]:
    """Folders that our drop-in speaks of already."""
    word = f"-{control.params['option']}"
    return {
        section.args[0]
        for section in configuration.main.own("directory")
        if section.path == _apache.ENABLED and section.args
        if any(word in at.args for at in section.own("options"))
    }


def _at_root(
    host: Host, configuration: _apache.Configuration, site: _apache.Site, option: str
) -> _On | None:
    """By what the option is on at the document root, .htaccess files left out."""
    request = _apache_request.Request(host, site, "/", ())
    on, by = option in _DEFAULT, _On(site.label, None, None)
    root = request._replace(uri="/x")
    del configuration
    for section in _apache_request.sections_for(root):
        for at in section.own("options"):
            now = _after(on, at, option)
            if now and (not on or _switches_on(at, option)):
                by = _On(site.label, at, section if section.name == "directory" else None)
            on = now
    return by if on else None


def _below_root(configuration: _apache.Configuration, site: _apache.Site, option: str) -> list[_On]:
    """Sections that switch it on for a folder below the document root only, or by a pattern."""
    blocks = [configuration.main] if site.block is site.main else [configuration.main, site.block]
    found = []
    for block in blocks:
        for section in _apache.sections(block):
            inside = section.name == "directory" and section.args[:1] != ["~"]
            if inside and not "".join(section.args[:1]).startswith(f"{site.root}/"):
                continue
            if not inside and block is configuration.main and site.block is not site.main:
                continue
            found += [
                _On(site.label, at, section)
                for at in section.own("options")
                if _switches_on(at, option)
            ]
    return found


def _after(on: bool, at: _apache.Directive, option: str) -> bool:
    """Whether the option is on once `at` was read: words with signs change, others replace."""
    words = [word.lower() for word in at.args]
    if all(word[:1] in ("+", "-") for word in words):
        for word in words:
            if word[1:] == option or (word[1:] == "all" and option in _ALL):
                on = word.startswith("+")
        return on
    return any(word == option or (word == "all" and option in _ALL) for word in words)


def _switches_on(at: _apache.Directive, option: str) -> bool:
    return _after(False, at, option)


def _is_left(configuration: _apache.Configuration, row: _On) -> bool:
    """Whether only a person may change it: it is not in the server's own files."""
    if row.at is None:
        return False
    section = row.section
    if section is None or section.name != "directory" or section.args[:1] == ["~"]:
        return True
    at_main = any(child is section for child in configuration.main.children)
    return not at_main or configuration.after_ours(section)


def _said(control: Control, row: _On) -> str:
    option = control.params["option"]
    if row.at is None:
        return f"{row.label}: Options is not set, and Apache takes {option}"
    return f"{row.at.place} has Options {option} for {row.label}"
