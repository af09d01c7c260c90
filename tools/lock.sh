#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Writes requirements.lock anew: each package that pyproject.toml's ranges resolve to, pinned.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
.venv/bin/pip install -q --dry-run --ignore-installed --report "$scratch/report.json" '.[dev]'
.venv/bin/python - "$scratch/report.json" > "$scratch/lock" <<'PYTHON'
import json
import sys

print("# Written by tools/lock.sh from pyproject.toml; install with: pip install -r requirements.lock")
rows = (item["metadata"] for item in json.load(open(sys.argv[1], encoding="utf-8"))["install"])
for row in sorted(rows, key=lambda found: found["name"].lower()):
    if row["name"] != "ringfence":
        print(f"{row['name']}=={row['version']}")
PYTHON
mv "$scratch/lock" requirements.lock
