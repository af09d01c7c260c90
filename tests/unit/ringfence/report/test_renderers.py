# SPDX-License-Identifier: GPL-3.0-or-later
"""HTML, JSON, CSV and PDF of the same report, of tame and of hostile hosts."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ringfence.report import Evidence, Report, build, csv_, html, json_, pdf
from ringfence.report.csv_ import neutral

from .fleet import big_catalogue, big_fleet, catalogue, control, host, result, run_document, waiver

NOW = datetime(2026, 1, 20, tzinfo=UTC)
NONE = "\N{EN DASH}"
HOSTILE = [
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=1</script>",
    "<!--<script>",
    "\"><img src=x onerror='window.pwned=1'>",
    "' onmouseover=window.pwned=1 x='",
    "{{ 7 * 7 }}{% raw %}",
    '=HYPERLINK("http://evil.example","x")',
    "\u202eevil\u2066",
    "\x1b]0;x\x07",
    "\udcff\ud800",
    "javascript:window.pwned=1",
    "]]></style></title></textarea>",
]


def report(**more: Any) -> Report:
    """A report with everything in it."""
    known = catalogue(
        control("ssh_root_login", "critical", remedy="Set PermitRootLogin no.",
                references={"cis_debian12": ["5.1.20"]}),
        control("kernel_ptrace", "high", "kernel"),
        control("ssh_banner", "low"),
        benchmarks={"cis_debian12": [{"section": "5.1", "controls": ["ssh_banner"]}]},
    )  # fmt: skip
    hosts = [
        host(
            "web1",
            result("ssh_root_login", "fail", expected="no", observed="yes", message="sshd -T"),
            result("kernel_ptrace", "pass", expected=2),
            result("ssh_banner", "waived", observed="", waiver=waiver("2027-01-01")),
        ),
        host("web2", result("ssh_root_login", "error", message="no sshd")),
        host("web3", state="unreachable", message="no route to host", host={}),
    ]
    before = run_document([host("web1", result("ssh_root_login", "pass"))], 1)
    evidence = Evidence(7, "a" * 64, 9, "b" * 64, signed=True)
    return build(
        run_document(hosts, 2), known, before=before, evidence=evidence, generated=NOW, **more
    )


def hostile_report() -> Report:
    """A report where every text that others write is an attack."""
    hosts = [
        host(
            f"web{number}{text}",
            result(
                "ssh_root_login",
                "waived",
                expected=text,
                observed=[text],
                message=text,
                waiver=waiver("2027-01-01", reason=text, owner=text, approver=text),
            ),
            result("kernel_ptrace", "fail", observed=text),
            host={"distribution": text, "release": text, "kernel": text},
        )
        for number, text in enumerate(HOSTILE)
    ]
    hosts.append(host("gone" + HOSTILE[0], state="error", message=HOSTILE[1]))
    texts = "".join(HOSTILE)
    known = catalogue(
        control("ssh_root_login", title=texts, rationale=texts, remedy=texts, family=HOSTILE[0],
                references={texts: [texts]}),
        control("kernel_ptrace", severity=HOSTILE[3]),
        benchmarks={texts: [{"section": texts, "controls": [texts]}]},
    )  # fmt: skip
    run = run_document(hosts, 2, playbook=texts, operator=texts, controller=texts, limit=texts)
    return build(run, known, before=run_document(hosts[:2], 1), generated=NOW)


def benchmark_report() -> Report:
    """Two hosts, and a benchmark with a section of each kind."""
    sections = [
        {"section": "1", "title": "Root stays out", "levels": ["l1"], "status": "automated",
         "controls": ["ssh_root_login", "ssh_banner"]},
        {"section": "2", "title": "People are trained", "levels": ["l1"], "status": "manual",
         "how": "Ask for the list of who took part.", "evidence": ["ssh_banner"]},
        {"section": "3", "title": "No desktop", "levels": ["l1"], "status": "not_applicable",
         "why": "A server has none."},
    ]  # fmt: skip
    known = catalogue(
        control("ssh_root_login"),
        control("ssh_banner"),
        benchmarks={
            "asked": {
                "title": "A benchmark",
                "version": "1.0",
                "about": "What somebody asks.",
                "levels": {"l1": "Level 1"},
                "sections": sections,
            }
        },
    )
    hosts = [
        host("web1", result("ssh_root_login", "fail"), result("ssh_banner", "pass")),
        host("web2", result("ssh_root_login", "pass"), result("ssh_banner", "error")),
    ]
    return build(run_document(hosts, 2), known, generated=NOW)


def test_json_names_the_hosts_of_each_section_and_counts_them() -> None:
    (benchmark,) = json.loads(json_.render(benchmark_report()))["benchmarks"]
    first = benchmark["sections"][0]
    assert (first["state"], first["failing"], first["unknown"]) == ("fail", ["web1"], ["web2"])
    assert benchmark["counts"] == {
        "sections": 3,
        "automated": 1,
        "pass": 0,
        "fail": 1,
        "unknown": 0,
        "not_applicable": 0,
        "manual": 1,
        "excluded": 1,
    }
    assert benchmark["hosts"] == [
        {"name": "web1", "holds": 0, "fails": 1, "unknown": 0, "nothing": 0},
        {"name": "web2", "holds": 0, "fails": 0, "unknown": 1, "nothing": 0},
    ]


@pytest.mark.parametrize("render", [html.render, html.render_for_paper])
def test_a_page_tells_of_benchmarks_and_of_what_no_control_judged(render: Any) -> None:
    text = re.sub(r"<[^>]*>", "|", render(benchmark_report()))
    row = re.search(r"A benchmark 1\.0\|+([^A-Za-z]*)", text)
    assert row is not None
    # sections, automated, hold, fail, not checked, nothing here, by a person, left out
    assert re.findall(r"\d+|[^|\s]", row[1]) == [*"31", NONE, "1", NONE, NONE, *"11"]
    assert "for a person" in text
    assert "left out" in text
    assert re.search(r"1\|+ Root stays out\|+web1\|+web2\|", text)


class Page(HTMLParser):
    """The elements and attributes of a page, and whether it is well nested."""

    VOID = frozenset({"meta", "link", "input", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("render", [html.render, html.render_for_paper])
def test_a_hostile_fleet_changes_nothing_of_the_page(render: Any) -> None:
    page = Page(render(hostile_report()))
    tags = [tag for tag, _attributes in page.seen]
    assert tags.count("script") == (2 if render is html.render else 0)
    assert tags.count("style") == 1
    assert not {"img", "iframe", "object", "base", "a href"} & set(tags)
    for tag, attributes in page.seen:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "style" not in attributes, "the policy allows no style attributes"
        for name in ("src", "href", "action", "formaction"):
            assert attributes.get(name, "#").startswith(("#", "data:,")), (tag, name)  # type: ignore[union-attr]


def test_a_hostile_fleet_is_still_readable() -> None:
    text = html.render(hostile_report())
    assert "&lt;script&gt;window.pwned=1&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[right-to-left override]" in text
    assert "\\xff" in text
    text.encode("utf-8")


def test_the_page_carries_a_policy_that_fits_it() -> None:
    import base64
    import hashlib

    text = html.render(report())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none';")
    assert "unsafe" not in policy[1]
    for tag in ("style", "script"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"sha256-{digest}" in policy[1]


@pytest.mark.parametrize(
    "phrase",
    [
        "Security of 3 hosts",
        "<b>1</b> of 3",
        "checked controls pass, over 2 hosts",
        "1 could not be checked",
        "no route to host",
        "Title of ssh_root_login",
        "Why ssh_root_login matters.",
        "Set PermitRootLogin no.",
        '-e \'{"ringfence_controls": ["ssh_root_login"]}\'',
        "ssh_root_login_value",
        "CIS Debian 12 5.1.20",
        "old shop",
        "entry 7, signed",
        "1 host was not fully checked",
    ],
)
def test_the_page_says(phrase: str) -> None:
    assert phrase in html.render(report())


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"apply": {"disruption": "low"}}, True),
        ({}, True),
        ({"apply": {"automatic": False}}, False),
        ({"target": "bucket"}, False),
    ],
)
def test_the_page_offers_apply_only_where_it_writes(declared: dict[str, Any], told: bool) -> None:
    known = catalogue(control("firewall_default_deny", remedy="Run `firewall.yml`.", **declared))
    run = run_document([host("web1", result("firewall_default_deny", "fail"))], 2)
    text = html.render(build(run, known, generated=NOW))
    assert ("Or let Ringfence do what it can of it" in text) is told
    assert ("playbooks/apply.yml" in text) is told
    assert "Run <code>firewall.yml</code>." in text


@pytest.mark.parametrize(
    ("observed", "message", "seen"),
    [
        ("a is open", "a is open; close it", "<td><code>a is open; close it</code></td>"),
        ("yes", "sshd -T", '<td><code>yes</code><div class="msg">sshd -T</div></td>'),
        (None, "no sshd", f'<td><span class="zero">{NONE}</span><div class="msg">no sshd</div>'),
        ("yes", "", "<td><code>yes</code></td>"),
    ],
)
def test_what_was_seen_is_said_once(observed: str | None, message: str, seen: str) -> None:
    told = result("ssh_banner", "fail", expected="x", observed=observed, message=message)
    text = html.render(
        build(run_document([host("web1", told)], 2), catalogue(control("ssh_banner")))
    )
    assert seen in text


def test_every_colour_of_text_can_be_read() -> None:
    style = (Path(html.__file__).parent / "templates/report.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    tokens: dict[str, str] = {}
    for block in blocks:
        tokens |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block))
        for name in ("ink", "soft", "pass", "fail", "unsure", "waived"):
            for ground in ("paper", "wash", "alarm"):
                assert contrast(tokens[name], tokens[ground]) >= 4.5, (name, ground, block[:40])


def contrast(one: str, other: str) -> float:
    """The WCAG contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_json_holds_the_whole_report() -> None:
    value = json.loads(json_.render(report()))
    assert value["schema"] == 1
    assert value["score"]["checked"] == 3
    assert value["score"]["unknown"] == 1
    assert value["not_checked"] == ["web3"]
    root = next(c for c in value["controls"] if c["id"] == "ssh_root_login")
    assert root["groups"][0]["hosts"] == ["web1"]
    assert root["remedy"] == "Set PermitRootLogin no."
    assert value["evidence"]["seq"] == 7
    assert json.loads(json_.render(hostile_report()))["hosts"]


def test_csv_has_a_row_for_each_result_and_each_host_that_was_not_asked() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_.render(report()))))
    assert [(r["host"], r["control"], r["status"]) for r in rows] == [
        ("web3", "", "not_checked"),
        ("web1", "ssh_root_login", "fail"),
        ("web2", "ssh_root_login", "error"),
        ("web1", "ssh_banner", "waived"),
        ("web1", "kernel_ptrace", "pass"),
    ]
    assert rows[0]["message"] == "no route to host"
    assert rows[1]["remedy"] == "Set PermitRootLogin no."
    assert rows[3]["waiver_expires"] == "2027-01-01"
    assert {len(row) for row in rows} == {len(csv_.COLUMNS)}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("plain", "plain"),
        ("a=b", "a=b"),
        ("", ""),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
    ],
)
def test_a_cell_is_never_a_formula(cell: str, expected: str) -> None:
    assert neutral(cell) == expected


def test_no_cell_of_a_hostile_fleet_is_a_formula() -> None:
    for row in csv.reader(io.StringIO(csv_.render(hostile_report()))):
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_pdf_is_the_same_for_the_same_report() -> None:
    first = pdf.render(report())
    assert first.startswith(b"%PDF-")
    assert first == pdf.render(report())


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs poppler-utils")
def test_pdf_says_what_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(pdf.render(report()))
    said = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True, text=True)
    for phrase in (
        "Security of 3 hosts",
        "no route to host",
        "Set PermitRootLogin no.",
        "old shop",
    ):
        assert phrase in said.stdout
    subprocess.run(["pdfdetach", "-saveall", "-o", tmp_path, path], check=True)
    assert json.loads((tmp_path / "findings.json").read_text()) == json.loads(
        json_.render(report())
    )


def test_pdf_of_a_hostile_fleet_fetches_nothing() -> None:
    assert pdf.render(hostile_report()).startswith(b"%PDF-")
    with pytest.raises(ValueError, match="fetches nothing"):
        pdf._refuse("http://evil.example/")


def test_a_big_fleet_is_small_and_fast() -> None:
    known = big_catalogue(200)
    run = big_fleet(1000, known)
    begun = time.process_time()
    text = html.render(build(run, known, generated=NOW))
    assert time.process_time() - begun < 8
    assert len(text) < 12_000_000


def outside_report() -> Report:
    """A report in which one control is outside the profile, and fails."""
    known = catalogue(control("ssh_root_login", "critical"), control("ssh_banner", "low"))
    results = (
        result("ssh_root_login", "pass"),
        result("ssh_banner", "fail", expected="set", observed="n<o>ne", demanded=False),
    )
    return build(run_document([host("web1", *results)], 2), known, generated=NOW)


@pytest.mark.parametrize("render", [html.render, html.render_for_paper])
def test_the_page_lists_apart_what_is_outside_the_profile(render: Any) -> None:
    page = render(outside_report())
    assert "<b>1</b> of 1" in page
    assert '<details class="control o-fail"' not in page
    apart = page.split('id="h-outside"')[1].split("</section>")[0]
    for phrase in ("Outside the profile", "fails", "ssh_banner", "n&lt;o&gt;ne", "web1"):
        assert phrase in apart
    assert 'id="h-outside"' not in render(report())


def test_json_lists_apart_what_is_outside_the_profile() -> None:
    value = json.loads(json_.render(outside_report()))
    assert [one["id"] for one in value["controls"]] == ["ssh_root_login"]
    (outside,) = value["outside"]
    assert (outside["id"], outside["outcome"]) == ("ssh_banner", "fail")
    assert outside["groups"][0]["hosts"] == ["web1"]
    assert "matrix" not in outside


def test_csv_says_what_is_outside_the_profile() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_.render(outside_report()))))
    assert [(r["control"], r["status"], r["demanded"]) for r in rows] == [
        ("ssh_root_login", "pass", "yes"),
        ("ssh_banner", "fail", "no"),
    ]


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs poppler-utils")
def test_pdf_lists_apart_what_is_outside_the_profile(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(pdf.render(outside_report()))
    said = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True, text=True)
    assert "Outside the profile" in said.stdout
    assert "n<o>ne" in said.stdout
