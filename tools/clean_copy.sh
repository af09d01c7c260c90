#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Copies what belongs to the collection (and nothing of the controller's side or the tests) to $1.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
target=$1
mkdir -p "$target"
cd "$root"
git ls-files -z --cached --others --exclude-standard -- \
  CHANGELOG.md LICENSE README.md benchmarks changelogs controls galaxy.yml meta playbooks plugins roles tiers tests/config.yml tests/sanity |
  while IFS= read -r -d '' path; do
    if [ -e "$path" ]; then cp --parents -P "$path" "$target"; fi
  done
