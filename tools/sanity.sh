#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs `ansible-test sanity` on a clean copy of the collection: through the checkout's symlinks it
# would find no target and pass without having looked at anything.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/ringfence-sanity.XXXXXX")
trap 'rm -rf "$work"' EXIT
export HOME="$root/.cache/ansible-test" PATH="$root/.venv/bin:$PATH"

copy="$work/ansible_collections/ringfence/hosting"
"$root/tools/clean_copy.sh" "$copy"

# ansible-test downloads get-pip from a place of its own; the one that Python ships does as well.
pip_version=$(python - <<'PYTHON'
from ansible_test._internal.python_requirements import get_venv_packages
from ansible_test._internal.host_configs import PosixConfig  # noqa: F401
import inspect, re
print(re.search(r"pip='([0-9.]+)'", inspect.getsource(get_venv_packages)).group(1))
PYTHON
)
mkdir -p "$HOME/.ansible/test/cache"
cp "$root/tools/get_pip_stand_in.py" "$HOME/.ansible/test/cache/get_pip_${pip_version//./_}.py"

cd "$copy"
git init -q . && git add -A .
looked_at=$(git ls-files plugins | wc -l)
[ "$looked_at" -gt 0 ] || { echo "sanity: no plugin came into the copy" >&2; exit 1; }
echo "sanity: $looked_at files under plugins/"
ansible-test sanity --color no --python 3.11 "$@"
