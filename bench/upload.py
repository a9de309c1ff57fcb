"""Measure how fast a dataset is uploaded to S3: `python -m bench.upload`.

2,000 files of 20 kB, a dataset in channels, are uploaded in turn by

    core.aws.upload   this project: in parallel, listed before and verified at the end
    SageMaker SDK     `Session.upload_data` of the SageMaker SDK 3: one file after the other

to the sandbox, which runs in a process of its own. Rounds alternate, so that both run under the same conditions; the
ratio is that of the medians. It is measured on two networks: one with responses after 20 ms, about what S3 needs for
a small object, which the goal is for; and this machine alone, where nothing has to wait, so that it compares the
processor time of both, including the sandbox's.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.aws.connection import Clients, Connection
from core.aws.execute import execute
from core.datasets.upload_plan import UploadOrder
from core.plans.plan import plan_upload
from sandbox.server import Sandbox

FILES, BYTES = 2_000, 20_000
BUCKET = "bench"
OURS, SDK = "core.aws.upload", "SageMaker SDK"
TIMES = 4
"""Goal: at least this many times as fast."""

Method = Callable[[str], object]


def make_files(root: Path, count: int) -> int:
    """Write a dataset in channels, with random content; return its bytes in total."""
    random = np.random.default_rng(0)
    for number in range(count // 2):
        split = "validation" if number % 5 == 0 else "train"
        for folder, suffix in ((split, "jpg"), (f"{split}_annotation", "png")):
            path = root / folder / f"{number:05}.{suffix}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(random.bytes(BYTES))
    return count * BYTES


@contextmanager
def server(delay: float) -> Iterator[Connection]:
    """Start a sandbox in a process of its own, whose responses to PUT are delayed by `delay` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--serve", folder, "--delay", str(delay)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            url, region, key, secret = process.stdout.readline().split()
            yield Connection(region, url, None, key, secret)
            process.communicate("")


def serve(folder: Path, delay: float) -> None:
    """Run the sandbox in that process until standard input ends."""
    with Sandbox(folder) as sandbox:
        if delay:
            sandbox.faults.add("delay", service="s3", operation="PUT .*", seconds=delay)
        address = sandbox.address
        print(address.url, address.region, address.access_key, address.secret_key, flush=True)
        sys.stdin.read()


def methods(connection: Connection, root: Path, count: int, size: int) -> dict[str, Method]:
    """Return the methods to upload to a prefix, by name. Both create their clients before the measurement."""
    clients = Clients(connection)
    session = boto3.session.Session(
        connection.access_key, connection.secret_key, region_name=connection.region
    )
    by_name: dict[str, Method] = {
        OURS: lambda prefix: execute(
            clients,
            plan_upload(UploadOrder(str(root), BUCKET, f"{prefix}/", 0.2, 0, "", count, size, False)),
        ),
        SDK: sdk_method(session, connection.aws_url, root),
    }
    session.client("s3", endpoint_url=connection.aws_url).create_bucket(Bucket=BUCKET)
    assert clients.client_for_uploads
    return by_name


def sdk_method(session: Any, url: str | None, root: Path) -> Method:
    """Return the SDK's own upload, to the same URL."""
    logging.disable(logging.WARNING)
    from sagemaker.core.helper.session_helper import Session  # noqa: PLC0415  # slow to import

    sdk = Session(
        boto_session=session,
        sagemaker_client=session.client("sagemaker", endpoint_url=url),
        default_bucket="another",
    )
    sdk.s3_resource = session.resource("s3", endpoint_url=url)
    sdk.s3_client = session.client("s3", endpoint_url=url)
    return lambda prefix: sdk.upload_data(str(root), bucket=BUCKET, key_prefix=prefix)


def check(clients: Clients, prefix: str, root: Path, count: int) -> None:
    """Check that a method has uploaded all files. Raises SystemExit."""
    pages = clients.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    keys = {row["Key"].removeprefix(f"{prefix}/") for page in pages for row in page.get("Contents", ())}
    wanted = {path.relative_to(root).as_posix() for path in root.rglob("*.*")}
    if keys != wanted or len(keys) != count:
        raise SystemExit(f"{prefix} has {len(keys)} objects instead of {count}.")


def timed(connection: Connection, root: Path, count: int, rounds: int, size: int) -> dict[str, list[float]]:
    """Return the seconds of each method in each round."""
    by_name = methods(connection, root, count, size)
    seconds: dict[str, list[float]] = {name: [] for name in by_name}
    for number in range(rounds):
        for place, (name, run) in enumerate(by_name.items()):
            prefix = f"round-{number}-{place}"
            start = time.perf_counter()
            run(prefix)
            seconds[name].append(time.perf_counter() - start)
            check(Clients(connection), prefix, root, count)
    return seconds


def report(network: str, seconds: dict[str, list[float]], count: int, goal: int | None) -> str:
    """Return a line per method, then the ratio and its goal, if it has one."""
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    lines = [network]
    lines += [
        f"  {name:16}{median:8.2f} s{count / median:9.0f} files per second"
        for name, median in medians.items()
    ]
    ratio = medians[SDK] / medians[OURS]
    text = "" if goal is None else f": goal >= {goal}, {'reached' if ratio >= goal else 'NOT reached'}"
    return "\n".join([*lines, f"  {ratio:.1f} times as fast{text}"])


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=3, help="runs of each method on this machine's own network"
    )
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--delay", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.delay)
        return
    print(f"{options.files:,} files of {BYTES / 1e3:.0f} kB")
    networks = (("responses after 20 ms", 0.02, 1, TIMES), ("immediate responses", 0.0, options.rounds, None))
    with tempfile.TemporaryDirectory() as folder:
        size = make_files(Path(folder), options.files)
        for network, delay, rounds, goal in networks:
            with server(delay) as connection:
                seconds = timed(connection, Path(folder), options.files, rounds, size)
            print(report(network, seconds, options.files, goal), flush=True)


if __name__ == "__main__":
    main()
