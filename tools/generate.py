#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what follows from controls/*.yml and benchmarks/*.yml, so that nothing is said twice.

Usage: python tools/generate.py [--check]

A role for each family (defaults, argument specification, tasks, meta, README), the catalogue
docs/controls/, and a page for each benchmark in docs/benchmarks/. With --check nothing is written:
exit code 1 where a file is not as it would be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.ringfence.hosting.plugins.plugin_utils import (  # noqa: E402
    benchmarks,
    catalogue,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import (  # noqa: E402
    DocumentError,
)

_SPDX = "# SPDX-License-Identifier: GPL-3.0-or-later\n"
_TYPES = {"mode": "str"}
_DISRUPTION = {
    "none": "none",
    "low": "low",
    "access": "can cut off the operator or users; applied under the guard",
}
_FAMILIES = {
    "accounts": "Accounts and passwords",
    "aws_s3": "S3 buckets for backups",
    "apache": "The web server Apache",
    "backups": "Backups",
    "auditing": "The kernel's audit, and the integrity of files",
    "bans": "Automatic bans",
    "boot": "The boot, and AppArmor",
    "certificates": "Certificates of sites",
    "logging": "Logs",
    "filesystem": "Files and mounts",
    "banners": "Notices at sign-in",
    "firewall": "Firewall",
    "kernel": "The kernel and its network settings",
    "mariadb": "The database server MariaDB",
    "nginx": "The web server nginx",
    "packages": "Packages and services",
    "php_fpm": "PHP-FPM",
    "services": "Services",
    "ssh": "The SSH server",
    "second_factor_site": "The second factor of a site",
    "sudo": "sudo and su",
    "updates": "Updates",
}
# What a control may be judged of beside a host.
_TARGETS = {
    "site": "a hosted site",
    "bucket": "an S3 bucket",
    "backup": "the backups of a client",
    "access": "the access that people and machines have",
    "register": "the register itself",
}
# Families whose role is written by hand: its controls judge what that role does.
_HANDMADE = ("bans", "firewall")
Control = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key, as yamllint wants them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)


def generated(root: Path = ROOT) -> dict[Path, str]:
    """Path -> text of every generated file. Raises DocumentError for a faulty declaration."""
    known = catalogue.load(root)
    files: dict[Path, str] = {root / "docs" / "controls" / "README.md": _index(known)}
    files[root / "docs" / "benchmarks" / "README.md"] = _benchmark_index(known)
    for name, benchmark in sorted(known.benchmarks.items()):
        page = _benchmark_page(name, benchmark, known)
        files[root / "docs" / "benchmarks" / f"{name}.md"] = page
    for family in known.families:
        controls = [c for c in known.controls.values() if c["family"] == family]
        files[root / "docs" / "controls" / f"{family}.md"] = _page(family, controls, known)
        if family in _HANDMADE or not any(c["target"] == "host" for c in controls):
            continue
        controls = [c for c in controls if c["target"] == "host"]
        role = root / "roles" / family
        files[role / "defaults" / "main.yml"] = _defaults(family, controls)
        files[role / "meta" / "argument_specs.yml"] = _argument_specs(family, controls)
        files[role / "meta" / "main.yml"] = _meta(family)
        files[role / "tasks" / "main.yml"] = _tasks(family)
        files[role / "README.md"] = _readme(family, controls)
    return files


def main(arguments: list[str]) -> int:
    """Write, or with --check compare. Returns the exit code."""
    try:
        files = generated()
    except DocumentError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 1
    stale = [path for path, text in files.items() if _read(path) != text]
    for path in stale:
        if "--check" in arguments:
            print(f"{path.relative_to(ROOT)}: is not as controls/ says; run tools/generate.py")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
        print(path.relative_to(ROOT))
    return 1 if stale and "--check" in arguments else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _header(family: str) -> str:
    said = f"Generated from controls/{family}.yml by tools/generate.py; change it there."
    return f"{_SPDX}# {said}\n---\n"


def _defaults(family: str, controls: list[Control]) -> str:
    parts = [_header(family)]
    for control in controls:
        spec = control["value"]
        parts.append(f"# {control['title']}.\n{_dump({spec['name']: spec['default']})}")
    return "\n".join(parts)


def _argument_specs(family: str, controls: list[Control]) -> str:
    options = {control["value"]["name"]: _option(control) for control in controls}
    main_entry = {
        "short_description": f"{_title(family)} brought to what the controls of {family} say",
        "description": [
            f"Applies the {len(controls)} controls of the family {family} in one call on the host."
        ],
        "options": options,
    }
    return _header(family) + _dump({"argument_specs": {"main": main_entry}})


def _option(control: Control) -> dict[str, Any]:
    spec = control["value"]
    option: dict[str, Any] = {
        "description": [f"{control['title']} ({control['id']}).", *_bounds(spec)],
        "type": _TYPES.get(spec["type"], spec["type"]),
        "default": spec["default"],
    }
    if spec["type"] == "list":
        option["elements"] = "str"
    if "choices" in spec:
        option["choices"] = spec["choices"]
    return option


def _bounds(spec: dict[str, Any]) -> list[str]:
    if spec["type"] == "mode":
        return ["Octal digits."]
    low, high = spec.get("min"), spec.get("max")
    if low is None and high is None:
        return []
    return [f"From {low} to {high}."]


def _meta(family: str) -> str:
    info = {
        "galaxy_info": {
            "author": "The Ringfence developers",
            "description": f"{_title(family)} hardened",
            "license": "GPL-3.0-or-later",
            "min_ansible_version": "2.19",
            "platforms": [{"name": "Debian", "versions": ["bookworm", "trixie"]}],
        },
        "dependencies": [],
    }
    return _header(family) + _dump(info)


def _tasks(family: str) -> str:
    task = {
        "name": f"Apply the controls of {family}",
        "ringfence.hosting.control_apply": {"families": [family]},
    }
    return _header(family) + _dump([task])


def _readme(family: str, controls: list[Control]) -> str:
    rows = "\n".join(
        f"| `{c['value']['name']}` | {_code(c['value']['default'])} | {c['title']} |"
        for c in controls
    )
    return f"""# {family}

<!-- Generated from controls/{family}.yml by tools/generate.py; change it there. -->

{_title(family)}: {len(controls)} controls, applied in one call on the host. Whole servers are
hardened by `playbooks/apply.yml`; this role is for plays of your own.

```yaml
- hosts: web
  become: true
  gather_facts: false
  roles:
    - role: ringfence.hosting.{family}
```

| Variable | Default | What it decides |
|---|---|---|
{rows}

Why each of them matters, and what it may break:
[docs/controls/{family}.md](../../docs/controls/{family}.md).
"""


def _index(known: catalogue.Catalogue) -> str:
    controls = list(known.controls.values())
    families = []
    for family in known.families:
        counted = _counts(c for c in controls if c["family"] == family)
        families.append(f"| [{_title(family)}]({family}.md) | {counted} |")
    return f"""# Controls

<!-- Generated from controls/ and benchmarks/ by tools/generate.py; change it there. -->

{len(controls)} controls. Each is applied, audited and reported from one declaration.

| Family | Controls | {" | ".join(_COLUMNS)} |
|---|{"---:|" * (len(_COLUMNS) + 1)}
{chr(10).join(families)}
| All | {_counts(controls)} |

Severity is what it costs to go without. *Level 2* belongs to the profile `l2_server`
([profiles](../profiles.md)). *Guarded* can cut off the operator or users, and is applied under the
guard ([safety](../safety.md)). *By a person* is judged and reported, never changed.

{_benchmark_table(known, "../benchmarks/")}
"""


_COLUMNS = ("Critical", "High", "Medium", "Low", "Level 2", "Guarded", "By a person")


def _counts(controls: Iterable[Control]) -> str:
    """The cells of one row of the index."""
    chosen = list(controls)
    severities = [c["severity"] for c in chosen]
    cells = [len(chosen), *(severities.count(name.lower()) for name in _COLUMNS[:4])]
    cells.append(sum(c["level"] == 2 for c in chosen))
    cells.append(sum(c.get("apply", {}).get("disruption") == "access" for c in chosen))
    cells.append(sum(not c.get("apply", {}).get("automatic", True) for c in chosen))
    return " | ".join(map(str, cells))


def _page(family: str, controls: list[Control], known: catalogue.Catalogue) -> str:
    parts = [
        f"# {_title(family)}\n\n"
        f"<!-- Generated from controls/{family}.yml by tools/generate.py; change it there. -->\n"
    ]
    for control in controls:
        apply, spec = control.get("apply", {}), control["value"]
        lines = [
            f"- Severity: {control['severity']}; level {control['level']}",
            f"- Variable: `{spec['name']}`, by default {_code(spec['default'])}{_allowed(spec)}",
        ]
        if control["target"] == "host":
            disruption = _DISRUPTION[apply.get("disruption", "none")]
            lines.append(f"- Disruption when applied: {disruption}")
        else:
            lines.append(f"- Judged of: {_TARGETS[control['target']]}")
        if "breaks" in apply:
            lines.append(f"- May break: {apply['breaks'].strip()}")
        if not apply.get("automatic", True):
            lines.append("- Never changed by itself: a person decides")
        if "remedy" in control:
            lines.append(f"- By hand: {control['remedy'].strip()}")
        if "references" in control:
            lines.append(f"- Answers: {_references(control['references'], known)}")
        rationale = control["rationale"].strip()
        body = "\n".join(lines)
        parts.append(f"## {control['title']}\n\n`{control['id']}`\n\n{rationale}\n\n{body}\n")
    return "\n".join(parts)


def _references(references: dict[str, list[str]], known: catalogue.Catalogue) -> str:
    parts = []
    for name, sections in sorted(references.items()):
        label = name
        if name in known.benchmarks:
            label = f"[{known.benchmarks[name]['title']}](../benchmarks/{name}.md)"
        parts.append(f"{label} {', '.join(sections)}")
    return "; ".join(parts)


def _benchmark_table(known: catalogue.Catalogue, folder: str) -> str:
    rows = [
        "| Benchmark | Sections | Automated | Manual | Not applicable |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, benchmark in sorted(known.benchmarks.items()):
        numbers = benchmarks.count(benchmark["sections"])
        link = f"[{_benchmark_title(benchmark)}]({folder}{name}.md)"
        rows.append(
            f"| {link} | {len(benchmark['sections'])} | {' | '.join(map(str, numbers.values()))} |"
        )
    return "\n".join(rows)


def _benchmark_title(benchmark: benchmarks.Benchmark) -> str:
    gap = ", " if benchmark["version"][:1].isalpha() else " "
    return f"{benchmark['title']}{gap}{benchmark['version']}"


def _benchmark_index(known: catalogue.Catalogue) -> str:
    return f"""# Benchmarks

<!-- Generated from benchmarks/ by tools/generate.py; change it there. -->

What others ask of a server, section by section, and which controls answer it.

{_benchmark_table(known, "")}

- **Automated**: the controls named judge all that the section asks of a hosting server.
- **Manual**: a person looks, in the way that is said. Controls that tell a part of it are named as
  evidence; they never make the section automated.
- **Not applicable**: it asks nothing of a hosting server, for the reason that is given.

Numbers and levels are the documents' own where they have any; titles and sentences are ours, and no
text of a benchmark is in this project. The mapping is data: `benchmarks/<name>.yml`.

**In a report** each benchmark has its automated sections counted by what a run saw: they hold, they
fail, or they could not be checked, in all, by level and by host. A section holds where it was seen
to hold on every host that has anything of it; a host that was out of reach leaves it unchecked, and
so does a kind of thing (a bucket, the accesses) that no run looked at. A waiver makes no section
hold. Sections for a person are counted apart and are no pass. A client's report counts the hosts of
that client alone. In JSON the same is under `benchmarks`. None of it is a certificate.
"""


def _benchmark_page(name: str, benchmark: benchmarks.Benchmark, known: catalogue.Catalogue) -> str:
    rows = "\n".join(
        f"| {row['section']} | {row['title']} | {_levels(row)}{_answer(row, known)} |"
        for row in benchmark["sections"]
    )
    level = " Level |" if "levels" in benchmark else ""
    return f"""# {_benchmark_title(benchmark)}

<!-- Generated from benchmarks/{name}.yml by tools/generate.py; change it there. -->

{benchmark["about"].strip()}

{_coverage(benchmark)}

Titles and words are ours{"; levels are the document's own" if level else ""}. Automated: the
controls named judge all that the section asks. Manual: a person looks, in the way that is said;
evidence tells a part of it.

| Section | What it asks |{level} Answer |
|---|---|{"---|" if level else ""}---|
{rows}
"""


def _coverage(benchmark: benchmarks.Benchmark) -> str:
    counted = {"All": benchmarks.count(benchmark["sections"])}
    for level, numbers in benchmarks.by_level(benchmark).items():
        counted[benchmark["levels"][level]] = numbers
    rows = "\n".join(
        f"| {label} | {sum(numbers.values())} | {' | '.join(map(str, numbers.values()))} |"
        for label, numbers in counted.items()
    )
    head = "| | Sections | Automated | Manual | Not applicable |\n|---|---:|---:|---:|---:|"
    return f"{head}\n{rows}"


def _levels(row: dict[str, Any]) -> str:
    return f"{', '.join(row['levels'])} | " if "levels" in row else ""


def _answer(row: dict[str, Any], known: catalogue.Catalogue) -> str:
    """The cell of one section: controls, what a person does, or why it does not apply."""
    if row["status"] == "automated":
        return f"automated: {_linked(row['controls'], known)}"
    if row["status"] == "not_applicable":
        return f"not applicable: {_cell(row['why'])}"
    helped = f" Evidence: {_linked(row['evidence'], known)}" if "evidence" in row else ""
    return f"manual: {_cell(row['how'])}{helped}"


def _linked(ids: list[str], known: catalogue.Catalogue) -> str:
    pages = {one: known.controls[one]["family"] for one in ids}
    return ", ".join(f"[`{one}`](../controls/{family}.md)" for one, family in pages.items())


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|")


def _allowed(spec: dict[str, Any]) -> str:
    if "choices" in spec:
        return f" (of {', '.join(str(choice) for choice in spec['choices'])})"
    if "min" in spec or "max" in spec:
        return f" ({spec.get('min', '…')} to {spec.get('max', '…')})"
    return ""


def _title(family: str) -> str:
    return _FAMILIES.get(family, family.replace("_", " ").capitalize())


def _code(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return f"`{value}`"


def _dump(data: Any) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
