# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as one HTML page that asks nothing of any network, and reads without scripts too."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from itertools import groupby
from typing import Any

from markupsafe import Markup

from ringfence.report.build import counted
from ringfence.report.model import CODES, STATUSES, Benchmark, Control, Report, TrendPoint
from ringfence.report.pages import asset, environment, when

_ACRONYMS = {
    *("anssi", "bsi", "cis", "dns", "dss", "gdpr", "iso", "nis", "nist", "owasp", "pci", "stig"),
    *("cms", "http", "ntp", "pam", "php", "ssh", "sql", "tls", "usb"),
}
_NAMES = {
    "aws_s3": "AWS S3",
    "mariadb": "MariaDB",
    "nginx": "nginx",
    "php_fpm": "PHP-FPM",
    "sudo": "sudo and su",
}
_OUTCOMES = {
    "fail": "Failing",
    "error": "Could not be checked",
    "manual": "For a person to look at",
    "waived": "Waived",
    "changed": "Changed by this run, and passing",
    "not_applicable": "Not applicable",
    "pass": "Passing",
}
_LABELS = {
    "fail": "fails",
    "error": "not checked",
    "manual": "needs a person",
    "waived": "waived",
    "changed": "changed, passes",
    "not_applicable": "not applicable",
    "pass": "passes",
}
# A page is for reading: the newest of them. JSON has them all.
_BANS_SHOWN = 500
_SECTIONS = {
    "pass": "holds",
    "fail": "fails",
    "unknown": "not checked",
    "not_applicable": "nothing here",
    "manual": "for a person",
    "excluded": "left out",
}


def render(report: Report) -> str:
    """The page. Its scripts and styles are allowed by their hash, everything else by nothing."""
    return _render(report, asset("report.js"))


def render_for_paper(report: Report) -> str:
    """The same page without scripts, everything in it open."""
    return _render(report, "")


def _render(report: Report, script: str) -> str:
    style = asset("report.css") if script else asset("report.css") + asset("paper.css")
    controls = list(enumerate(report.controls))
    page: str = _template().render(
        report=report,
        style=style,
        style_hash=csp_hash(style),
        script=script,
        script_hash=csp_hash(script),
        open_all=not script,
        data=embedded(_data(report)),
        by_severity={entry.name: entry.score for entry in report.severities},
        by_outcome=[
            (outcome, list(items)) for outcome, items in groupby(controls, lambda c: c[1].outcome)
        ],
        statuses=[
            {"code": CODES[status], "label": _label(status, report)}
            for status in STATUSES
            if any(CODES[status] in control.matrix for control in report.controls)
        ],
        partly=any(host.score.checked for host in report.not_checked),
        asked=counted(
            host.kind for host in report.hosts if host.score.checked + host.score.unknown > 0
        ),
        names=_names(report),
        others=_others(report),
        bans_shown=_BANS_SHOWN,
        trend=_trend(report.trend),
    )
    return page


@cache
def _template() -> Any:
    made = environment("ringfence.report")
    made.filters.update(
        titled=_titled,
        outcome=lambda outcome: _OUTCOMES[outcome],
        status=_label,
        tally=_tally,
        heading=_heading,
        section_state=lambda state: _SECTIONS[state],
        lasting=_lasting,
    )
    return made.get_template("report.html.j2")


def csp_hash(text: str) -> str:
    """The source that lets a policy allow this very style or script."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _data(report: Report) -> dict[str, Any]:
    """What the script needs beside the page: who has which status, in a character each."""
    return {
        "run": report.run.id,
        "hosts": [host.name for host in report.hosts],
        "codes": CODES,
        "labels": {
            **{code: _label(status, report) for status, code in CODES.items()},
            "-": "not checked",
        },
        "controls": [
            {"title": c.title, "matrix": c.matrix, "failed": c.score.failed}
            for c in report.controls
        ],
    }


def embedded(value: Mapping[str, Any]) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 # no character of markup is left in it


def _others(report: Report) -> list[tuple[str, str, str]]:
    """Of what other runs judged: `3 S3 buckets`, and when the first and the last of them was."""
    times: dict[str, list[str]] = {}
    for host in report.hosts:
        if host.collected:
            times.setdefault(host.kind, []).append(host.collected)
    return [
        (counted([kind] * len(found)), min(found), max(found))
        for kind, found in sorted(times.items())
    ]


def _names(report: Report) -> Any:
    names = [host.name for host in report.hosts]
    return lambda numbers: ", ".join(names[number] for number in numbers)


def _titled(name: str) -> str:
    """A family's or benchmark's name as a title: ssh -> SSH, cis_debian12 -> CIS Debian 12."""
    if name in _NAMES:
        return _NAMES[name]
    words = re.sub(r"(?<=[a-z]{3})(?=\d)", " ", name.replace("_", " ")).split()
    proper = words[:1] and words[0] in _ACRONYMS
    return " ".join(
        word.upper()
        if word in _ACRONYMS
        else (word[:1].upper() + word[1:] if proper or not place else word)
        for place, word in enumerate(words)
    )


def _heading(benchmark: Benchmark) -> str:
    """What a benchmark is called; by its file's name where an old catalogue says no more."""
    version = benchmark.version
    gap = ", " if version[:1].isalpha() else " "
    return (benchmark.title or _titled(benchmark.name)) + (gap + version if version else "")


def _label(status: str, report: Report) -> str:
    return "would change" if status == "changed" and report.trial else _LABELS[status]


def _tally(control: Control, report: Report) -> str:
    """What became of a control, in a few words; not said twice where its heading says it."""
    asked = len(control.matrix) - control.matrix.count("-")
    counts = {
        "fail": control.score.failed,
        "error": control.score.errors,
        "manual": control.score.manual,
        "waived": control.score.waived,
        "changed": control.score.changed,
        "not_applicable": control.score.not_applicable,
        "pass": control.score.passed,
    }
    count = counts[control.outcome]
    words = "not checked" if control.outcome == "error" else _LABELS[control.outcome].split(",")[0]
    if len(report.hosts) == 1:
        return words
    return f"{words} on {count:,} of {asked:,}"


def _lasting(seconds: int) -> str:
    """How long, in the largest unit that it is a whole number of: 90 min, 2 d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds and seconds % size == 0:
            return f"{seconds // size:,} {unit}"
    return f"{seconds:,} s"


def _trend(points: tuple[TrendPoint, ...]) -> Markup:
    """A line over the runs, drawn from numbers and dates alone."""
    width, height, top, left, foot = 1056, 120, 8, 36, 22
    shares = [p.score.passed / p.score.checked if p.score.checked else 0.0 for p in points]
    low = min([0.9, *shares]) // 0.1 * 0.1
    step = (width - left - 8) / max(1, len(points) - 1)

    def y(share: float) -> float:
        return round(top + (height - top - foot) * (1 - (share - low) / (1 - low)), 1)

    places = [(round(left + number * step, 1), y(share)) for number, share in enumerate(shares)]
    marks = [
        f'<line class="axis" x1="{left}" x2="{width}" y1="{y(s)}" y2="{y(s)}" stroke="#e3e6ea"/>'
        f'<text x="0" y="{y(s) + 4}" font-size="11" fill="#59626c">{s:.0%}</text>'
        for s in (low, 1.0)
    ]
    line = " ".join(f"{x},{height_}" for x, height_ in places)
    marks.append(
        f'<polyline class="line" points="{line}" fill="none" stroke="#3d7a5a" stroke-width="2"/>'
    )
    for (x, height_), point in zip(places, points, strict=True):
        hollow = ' class="hollow"' if point.hosts_not_checked else ""
        fill = "#fff" if point.hosts_not_checked else "#3d7a5a"
        marks.append(
            f'<circle{hollow} cx="{x}" cy="{height_}" r="3.5" fill="{fill}" stroke="#3d7a5a">'
            f"<title>{when(point.finished, '%-d %B %Y')}: {point.score}</title></circle>"
        )
    for number, anchor in ((0, "start"), (-1, "end")):
        day = when(points[number].finished, "%-d %B %Y")
        marks.append(
            f'<text x="{places[number][0]}" y="{height - 4}" text-anchor="{anchor}" '
            f'font-size="11" fill="#59626c">{day}</text>'
        )
    label = f"{shares[0]:.0%} at first, {shares[-1]:.0%} now"
    return Markup(  # noqa: S704 # numbers and dates
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f"{''.join(marks)}</svg>"
    )
