# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Response headers that Apache adds, for each site and each section that changes them.

Ours is set for the whole server and leaves alone what a site sends itself. What a site's own file
takes away or sets too weak is told.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import _apache, _web
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

# header: its name. scope: tls for sites that serve it, else all. number: the key in front of the
# value, such as max-age. policy: a directive of Content-Security-Policy that does the same.
PARAMS = {"header": "str", "scope": "str?", "number": "str?", "policy": "str?"}
VALUE = ("str", "int")

_SETS = ("set", "setifempty", "append", "merge", "add")
_CHANGES = ("edit", "edit*")
_HTTPS = ("env=https", "expr=%{https} == 'on'", 'expr=%{https} == "on"', "expr=%{https} -eq 'on'")


class _Lack(NamedTuple):
    """A site whose answers lack the header; `by`: what of the site's own is the cause."""

    said: str
    by: str


class _Sent(NamedTuple):
    """One Header directive: what it does, to which header, with which value, and when."""

    action: str
    name: str
    value: str
    condition: str


def observe(host: Host, control: Control) -> Observation:
    configuration = _apache.read(host)
    tls = control.params.get("scope") == "tls"
    sites = [site for site in configuration.sites() if site.tls or not tls]
    lacks: list[_Lack] = []
    for site in sites:
        if not site.only_redirects:
            lacks += _of_site(control, site)
    # A section that changes what is right for the whole site.
    for label, at in _apache.everywhere(host, configuration, "header"):
        found = _weakened(control, at)
        if found:
            lacks.append(_Lack(f"{at.place} {found} for {label}", at.place))
    state = {"sites": len(sites), "lacks": lacks, "configuration": configuration}
    return Observation(state, _web.shortened([row.said for row in lacks]) or "sent")


def judge(_control: Control, observation: Observation) -> Verdict:
    state = observation.state
    if not state["sites"]:
        return Verdict(NOT_APPLICABLE, "no site of Apache serves TLS")
    if not state["lacks"]:
        return Verdict(PASS)
    return Verdict(FAIL, observation.shown, by_hand=any(row.by for row in state["lacks"]))


def plan(control: Control, observation: Observation, stage: Stage) -> None:
    if all(row.by for row in observation.state["lacks"]):
        return
    configuration = observation.state["configuration"]
    header = str(control.params["header"])
    _apache.stage_part(stage, configuration, header, _written(control), module="headers")


def _of_site(control: Control, site: _apache.Site) -> list[_Lack]:
    own = [] if site.block is site.main else site.block.own("header")
    good, wrong = False, None
    for at in [*site.main.own("header"), *own]:
        sent = _sent(at)
        if sent is None or not _about(control, sent):
            continue
        if sent.action == "unset":
            good, wrong = False, at
        elif sent.action in _SETS and _certain(control, site, sent):
            good = _meets(control, sent)
            wrong = None if good else at
        elif sent.action in _CHANGES and _named(control, sent):
            good, wrong = False, at
    if good:
        return []
    header = control.params["header"]
    if wrong is None:
        return [_Lack(f"{site.place}: {site.label} sends no {header}", "")]
    seen = _sent(wrong)
    by = "" if wrong.path == _apache.ENABLED else wrong.place
    said = f"{seen.action} {seen.name} {seen.value}".strip() if seen else ""
    return [_Lack(f"{wrong.place} has {said} for {site.label}", by)]


def _weakened(control: Control, at: _apache.Directive) -> str:
    """What a directive inside a section or an .htaccess does against the header; "" for nothing."""
    sent = _sent(at)
    if sent is None or not _named(control, sent):
        return ""
    if sent.action == "unset":
        return f"takes {sent.name} away"
    if sent.action in _CHANGES:
        return f"changes {sent.name}"
    if sent.action in _SETS and not _meets(control, sent):
        return f"sends {sent.name}: {sent.value}"
    return ""


def _sent(at: _apache.Directive) -> _Sent | None:
    words = list(at.args)
    if words[:1] and words[0].lower() in ("always", "onsuccess"):
        words.pop(0)
    if len(words) < 2:
        return None
    last = words[-1].lower()
    condition = words.pop() if last.startswith(("env=", "expr=")) or last == "early" else ""
    value = words[2] if len(words) > 2 else ""
    return _Sent(words[0].lower(), words[1].rstrip(":"), value, condition)


def _named(control: Control, sent: _Sent) -> bool:
    return sent.name.lower() == str(control.params["header"]).lower()


def _about(control: Control, sent: _Sent) -> bool:
    """Whether it is about the header, or a policy that does the same."""
    if _named(control, sent):
        return True
    return _policy(control, sent) and sent.action in _SETS


def _policy(control: Control, sent: _Sent) -> bool:
    name = control.params.get("policy")
    if name is None or sent.name.lower() != "content-security-policy":
        return False
    found = re.search(rf"(?:^|;)\s*{name}\s+([^;]+)", sent.value)
    return found is not None and "*" not in found[1].split()


def _certain(control: Control, site: _apache.Site, sent: _Sent) -> bool:
    """Whether the directive holds for every page of the site."""
    condition = sent.condition.lower()
    if not condition or sent.condition == _ours(control):
        return True
    return site.tls and condition in _HTTPS


def _meets(control: Control, sent: _Sent) -> bool:
    if _policy(control, sent):
        return True
    key = control.params.get("number")
    if key is None:
        same = {choice.lower(): choice for choice in control.choices}
        return control.meets(same.get(sent.value.lower(), sent.value))
    match = re.search(rf"(?i)(?:^|;)\s*{key}\s*=\s*\"?(\d+)", sent.value)
    return match is not None and control.meets(int(match[1]))


def _ours(control: Control) -> str:
    """Only where neither the site's code nor its configuration has sent one."""
    header = control.params["header"]
    own = f"-z resp('{header}')"
    if control.params.get("scope") == "tls":
        return f"expr=%{{HTTPS}} == 'on' && {own}"
    return f"expr={own}"


def _written(control: Control) -> str:
    header, key = str(control.params["header"]), control.params.get("number")
    value = str(control.value) if key is None else f"{key}={control.value}"
    if re.search(r'["\\%\n]', value):
        raise HostError(f"{header} cannot be set to a value with quotation marks or variables")
    return f'Header onsuccess set {header} "{value}" "{_ours(control)}"\n'
