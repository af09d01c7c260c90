# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m ringfence.evidence`: puts one run document into the store, for the callback.

Reads {"path", "store", "signing_key"} as JSON from standard input, so that a store's password is
in no process list, and answers {"ok", "message"}. Started early, it has its imports done by then.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from ringfence.evidence import EvidenceError, Store


def main() -> int:
    """0: it is in the store, or there was nothing to do; 1: it is not."""
    gc.freeze()  # the libraries: to search them at the end would keep the playbook run waiting
    request = sys.stdin.read()
    if not request.strip():
        return 0
    try:
        ok, message = True, _ingest(json.loads(request))
    except EvidenceError as error:
        ok, message = False, str(error)
    print(json.dumps({"ok": ok, "message": message}))
    return 0 if ok else 1


def _ingest(request: dict[str, str | None]) -> str:
    path = Path(str(request["path"]))
    key = request.get("signing_key")
    url = request.get("store") or Store.url_in(path.parent.parent)
    store = Store(url, Path(key) if key else None)
    taken, refused = store.ingest_incoming(path.parent)
    for rejected in refused:
        if rejected.path == path:
            raise EvidenceError(rejected.reason)
    mine = next((run for run in taken if run.run_id == path.stem), None)
    if mine is None:
        mine = store.ingest(path)
    signed = ", signed" if mine.signed else ""
    others = f"; {len(taken) - 1} earlier runs taken in too" if len(taken) > 1 else ""
    return f"run {mine.run_id} is entry {mine.seq} of the store{signed}{others}"


if __name__ == "__main__":
    sys.exit(main())
