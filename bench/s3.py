# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast objects are asked how they are encrypted, and buckets that are as they are to be.

Usage: python -m bench.s3 [--objects N] [--rounds N] [--out FOLDER]

All against one Ceph gateway on this machine, in one run, its rounds interleaved: our audit against
boto3 one by one, boto3 in 16 threads, and Cloud Custodian. S3 Inventory and memory are measured
without a server, and buckets on one that answers from memory (see bench.s3_buckets). Custodian and
amazon.aws are installed into environments of their own below .cache/. Returns 1 where a bar is
missed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bench import s3_buckets
from tests.s3.radosgw import KMS_KEYS, REGION, Gateway, Key

ROOT = Path(__file__).resolve().parents[1]
_BIN = ROOT / ".venv" / "bin"
_PEERS = {"c7n": ["c7n>=0.9.45,<1"], "amazon.aws": s3_buckets.PACKAGES}
_THREADS = 16
# In a process of its own each time, so that no contestant has warm connections.
_AUDIT = """
import json, sys, time
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1] + "/collections"])
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client as c
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_object_audit as a
order = a.Order(sys.argv[3], "", False, ["SSE-KMS"], [], "head", None, None, 32, 0)
connection = c.connect(sys.argv[2], "eu-west-1", None, None)
began, cpu = time.perf_counter(), time.process_time()
found = a.audit(connection, order)
print(json.dumps({"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu,
                  "objects": found["objects"], "clean": found["clean"]}))
"""
_BOTO3 = """
import json, sys, time, boto3
from concurrent.futures import ThreadPoolExecutor
from botocore.config import Config
_root, url, bucket, threads, most = sys.argv[1:6]
threads, most = int(threads), int(most)
client = boto3.client("s3", endpoint_url=url, region_name="eu-west-1",
                      config=Config(max_pool_connections=threads))
began, cpu = time.perf_counter(), time.process_time()
keys = [row["Key"] for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for row in page["Contents"]][:most]
ask = lambda key: client.head_object(Bucket=bucket, Key=key).get("ServerSideEncryption")
with ThreadPoolExecutor(threads) as pool:
    kinds = list(pool.map(ask, keys)) if threads > 1 else [ask(key) for key in keys]
print(json.dumps({"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu,
                  "objects": len(kinds), "clean": set(kinds) == {"aws:kms"}}))
"""
_MEMORY = """
import json, re, sys, time
from pathlib import Path
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1] + "/collections"])
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_object_audit as a
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_heads import Answer, Target
what, path, count = sys.argv[2], sys.argv[3], int(sys.argv[4])
ledger, demand = a.Ledger({}, path + ".bad", None), a.Demand(frozenset({"SSE-KMS"}))
began = time.perf_counter()
if what == "inventory":
    columns = ["Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "EncryptionStatus"]
    with open(path, "rb") as data:
        for _asked in a.enter_inventory(a.read_blocks(data, columns), a.Scope(), demand, ledger):
            pass
else:
    answer = Answer(200, {"x-amz-server-side-encryption": "aws:kms"})
    for first in range(0, count, 2000):
        for number in range(first, min(first + 2000, count)):
            a.judge(demand, ledger, Target(f"data/{number:08}"), answer, lambda target: "")
        ledger.checkpoint(Target(f"data/{first:08}"))
ledger.close()
# Not ru_maxrss, which a process takes over from the one that started it.
status = Path("/proc/self/status").read_text()
print(json.dumps({"s": time.perf_counter() - began, "objects": ledger.tally.objects,
                  "rss_mb": int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024}))
"""


def main() -> int:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.s3", description=__doc__)
    parser.add_argument("--objects", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    options = parser.parse_args()
    for peer in _PEERS:
        _environment(peer)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        result: dict[str, Any] = {"inventory": _inventory(scratch), "memory": _memory(scratch)}
        result["20 buckets, no change"] = s3_buckets.measure(
            _environment("amazon.aws"), options.rounds
        )
        with Gateway("bench") as gateway:
            key = gateway.user("bench")
            result["objects a second"] = _objects(gateway, key, options, scratch)
    result |= {"bars": _bars(result), "machine": _machine()}
    for bar in result["bars"]:
        print(f"{'met   ' if bar['met'] else 'MISSED'} {bar['what']}: {bar['seen']:,.2f}")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "s3.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if all(bar["met"] for bar in result["bars"]) else 1


def _environment(peer: str) -> Path:
    """The bin folder of a peer's environment, made when it is not there."""
    folder = ROOT / ".cache" / peer
    if not (folder / "bin" / "pip").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "-q", *_PEERS[peer]], check=True)
    return folder / "bin"


def _env(key: Key, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "AWS_ACCESS_KEY_ID": key.access,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        **more,
    }


def _script(text: str, *arguments: object, env: dict[str, str] | None = None) -> dict[str, Any]:
    command = [str(_BIN / "python"), "-c", text, str(ROOT), *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# --- objects ----------------------------------------------------------------------------------


def _objects(gateway: Gateway, key: Key, options: Any, scratch: Path) -> dict[str, Any]:
    _fill(gateway, key, options.objects)
    env = _env(key)
    contestants: dict[str, Callable[[], dict[str, Any]]] = {
        "ringfence": lambda: _script(_AUDIT, gateway.url, "objects", env=env),
        "boto3, one by one": lambda: _script(_BOTO3, gateway.url, "objects", 1, 1000, env=env),
        "boto3, 16 threads": lambda: _script(
            _BOTO3, gateway.url, "objects", _THREADS, options.objects, env=env
        ),
        "Cloud Custodian": lambda: _custodian(gateway, key, options.objects, scratch),
    }
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for _round in range(options.rounds):
        for name, measure in contestants.items():
            found = measure()
            if not found["clean"]:
                raise RuntimeError(f"{name} did not see all objects as they are")
            seen[name].append(found)
    return {
        name: {
            "objects": rows[0]["objects"],
            "a second": statistics.median(row["objects"] / row["s"] for row in rows),
            "cpu_us an object": statistics.median(
                row["cpu_s"] / row["objects"] * 1e6 for row in rows
            ),
        }
        for name, rows in seen.items()
    }


def _fill(gateway: Gateway, key: Key, count: int) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=gateway.url,
        region_name=REGION,
        aws_access_key_id=key.access,
        aws_secret_access_key=key.secret,
        config=Config(max_pool_connections=_THREADS),
    )
    client.create_bucket(Bucket="objects")

    def put(number: int) -> None:
        client.put_object(
            Bucket="objects",
            Key=f"acme/data/{number % 256:02x}/{number:08}",
            Body=b"x",
            ServerSideEncryption="aws:kms",
            SSEKMSKeyId=KMS_KEYS[0],
        )

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(put, range(count)))


def _custodian(gateway: Gateway, key: Key, count: int, scratch: Path) -> dict[str, Any]:
    """Its own scan of the keys of a bucket, which asks each by HEAD; it changes nothing."""
    policy = {
        "name": "keys",
        "resource": "aws.s3",
        "query": [{"augment-keys": "none"}],
        "filters": [{"Name": "objects"}],
        "actions": [{"type": "encrypt-keys", "report-only": True, "crypto": "aws:kms"}],
    }
    path = scratch / "policy.json"
    path.write_text(json.dumps({"policies": [policy]}), encoding="utf-8")
    command = [
        str(_environment("c7n") / "custodian"), "run", "-s", str(scratch / "c7n"),
        "--region", REGION, "--cache-period", "0", str(path),
    ]  # fmt: skip
    env = _env(key, AWS_ENDPOINT_URL=gateway.url)
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise RuntimeError(f"Cloud Custodian: {done.stderr[-3000:]}")
    scanned = _scanned(done.stderr)
    return {
        "s": took,
        "cpu_s": after.children_user - before.children_user,
        "objects": scanned or count,
        "clean": scanned == count,
    }


def _scanned(log: str) -> int:
    """How many keys it says that it looked at."""
    counts = [
        int(line.split("keys:")[1].split()[0]) for line in log.splitlines() if "keys:" in line
    ]
    return max(counts, default=0)


# --- without a server -------------------------------------------------------------------------


def _listing(path: Path, count: int) -> None:
    with gzip.open(path, "wt", encoding="utf-8", newline="", compresslevel=6) as text:
        part = io.StringIO()
        rows = csv.writer(part, quoting=csv.QUOTE_ALL)
        for number in range(count):
            kind = "SSE-KMS" if number % 100 else "SSE-S3"
            name = f"acme/data/{number % 256:02x}/{number:064x}"
            rows.writerow(["agency-backups", name, f"v{number}", "true", "false", kind])
            if part.tell() > 1 << 20:
                text.write(part.getvalue())
                part.seek(0)
                part.truncate()
        text.write(part.getvalue())


def _inventory(scratch: Path) -> dict[str, Any]:
    _listing(scratch / "inventory", 1_000_000)
    rounds = [
        _script(_MEMORY, "inventory", scratch / "inventory", 1_000_000) for _round in range(3)
    ]
    return {"rows a second": statistics.median(row["objects"] / row["s"] for row in rounds)}


def _memory(scratch: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for count in (10_000, 1_000_000):
        _listing(scratch / "inventory", count)
        for what in ("inventory", "answers"):
            row = _script(_MEMORY, what, scratch / "inventory", count)
            found[f"{what}, {count} objects, MB"] = round(row["rss_mb"], 1)
    return found


def _bars(result: dict[str, Any]) -> list[dict[str, Any]]:
    speeds = {name: row["a second"] for name, row in result["objects a second"].items()}
    memory = result["memory"]
    ratio = speeds["ringfence"] / speeds["boto3, 16 threads"]
    growth = max(
        memory[f"{what}, 1000000 objects, MB"] - memory[f"{what}, 10000 objects, MB"]
        for what in ("inventory", "answers")
    )
    rows = result["inventory"]["rows a second"]
    runs = {name: row["s"] for name, row in result["20 buckets, no change"].items()}
    times = runs["amazon.aws"] / runs["ringfence"]
    return [
        {"what": "objects a second (2,000)", "seen": speeds["ringfence"]}
        | {"met": speeds["ringfence"] >= 2000},
        {"what": "times boto3 in threads (4)", "seen": ratio, "met": ratio >= 4},
        {"what": "rows of an inventory a second (500,000)", "seen": rows, "met": rows >= 500_000},
        {"what": "MB more for 1M than for 10k objects (10)", "seen": growth, "met": growth < 10},
        {"what": "times as fast as amazon.aws (10)", "seen": times, "met": times >= 10},
    ]


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
