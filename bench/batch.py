"""Measure the client-side batch of `segdeck segment s3://...` against a loop: `python -m bench.batch`.

The same images in S3 are sent to the same endpoint, the sandbox's demo model, in turn by

    batch, masks          this project, with its defaults: 4 images at once, the endpoint's masks
    batch, probabilities  the same with `--format probabilities`
    tutorial              AWS's notebook in a loop: one image at a time, probabilities, MXNet's RecordIO, protobuf,
                          list(values), np.array, argmax
    endpoint alone        for each of them, the same requests at the same concurrency, whose responses are read and
                          dropped

Each runs in a process of its own, which has loaded its libraries and sent one image before the measurement. Rounds
alternate, so that all run under the same conditions. The overhead is that over the endpoint alone, and with the ratio
of images per second it is that of the medians. Memory is the growth of the process's peak resident memory. Endpoint
and clients share this machine's cores, so compare only ratios within one run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.decode import tutorial_decoder
from core.aws.client_batch import find_images, image_reader
from core.aws.connection import Clients, Connection
from core.aws.endpoints import endpoint_info
from core.aws.runtime import invoker
from core.batch.client import BatchOutcome, ClientBatch, ImageTask, LocalMasks, segment_all
from core.inference.gate import CallGate
from core.inference.invoke import Want
from core.wire.decode import PNG, RECORDIO, decode
from sandbox import launcher

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "sandbox" / "demo" / "aerial" / "examples"
BUCKET, ENDPOINT = "bench", "aerial-land-cover"
IMAGES, CONCURRENCY = 20, 4
MASKS, PROBABILITIES, TUTORIAL = "batch, masks", "batch, probabilities", "tutorial"
ALONE = "endpoint alone"
GOAL = 0.10
"""Goal: at most this overhead over the endpoint alone."""

METHODS = {MASKS: (PNG, CONCURRENCY), PROBABILITIES: (RECORDIO, CONCURRENCY), TUTORIAL: (RECORDIO, 1)}
"""Method -> content type of its responses, and images at once."""

Digests = dict[str, str]
"""Image -> hash of its class ids."""


def prepare(connection: Connection, count: int) -> None:
    """Put the images into S3, and wait for the endpoint."""
    clients = Clients(connection)
    s3 = clients.client_for_uploads
    s3.create_bucket(Bucket=BUCKET)
    examples = sorted(EXAMPLES.glob("*.jpg"))
    for number in range(count):
        body = examples[number % len(examples)].read_bytes()
        s3.put_object(Bucket=BUCKET, Key=f"in/{number:04}.jpg", Body=body)
    waiter = clients.sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": 300})


def batch_method(clients: Clients, want: Want) -> Callable[[Sequence[str]], Digests]:
    """Return the client-side batch. Its time includes a hash of each mask, some 10 ms."""
    info = endpoint_info(clients, ENDPOINT)
    prefix = f"s3://{BUCKET}/in/"

    def run(keys: Sequence[str]) -> Digests:
        images = [image for image in find_images(clients, prefix)[0] if f"in/{image.key}" in keys]
        with tempfile.TemporaryDirectory() as folder:
            batch = ClientBatch(
                ENDPOINT, clients.connection.origin, info.classes, want, "model", (800, 600), CONCURRENCY
            )
            task = ImageTask(
                batch, image_reader(clients, prefix), LocalMasks(Path(folder)), invoker(clients, ENDPOINT),
                CallGate(CONCURRENCY),
            )  # fmt: skip
            outcome = BatchOutcome()
            segment_all(images, task, outcome, lambda: None)
            if outcome.failed:
                raise outcome.failed[0][1]
            return {image.key: _digest((Path(folder) / image.mask).read_bytes()) for image in images}

    return run


def _digest(mask: bytes) -> str:
    return hashlib.sha256(decode(mask, PNG).labels.tobytes()).hexdigest()


def tutorial_loop(clients: Clients) -> Callable[[Sequence[str]], Digests]:
    """Return the tutorial's loop. Raises SystemExit without MXNet."""
    decoder = tutorial_decoder()
    if decoder is None:
        raise SystemExit("MXNet is needed for the tutorial's loop.")

    def run(keys: Sequence[str]) -> Digests:
        digests = {}
        for key in keys:
            image = clients.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            answer = clients.runtime.invoke_endpoint(
                EndpointName=ENDPOINT, ContentType="image/jpeg", Accept=RECORDIO, Body=image
            )
            labels = decoder(answer["Body"].read())
            digests[key.removeprefix("in/")] = hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest()
        return digests

    return run


def endpoint_alone(clients: Clients, accept: str, concurrency: int) -> Callable[[Sequence[str]], Digests]:
    """Return the invocations alone; the images are read before."""
    every = [row["Key"] for row in clients.s3.list_objects_v2(Bucket=BUCKET, Prefix="in/")["Contents"]]
    images = {key: clients.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in every}

    def invoke(key: str) -> None:
        answer = clients.runtime.invoke_endpoint(
            EndpointName=ENDPOINT, ContentType="image/jpeg", Accept=accept, Body=images[key]
        )
        answer["Body"].read()

    def run(keys: Sequence[str]) -> Digests:
        with ThreadPoolExecutor(concurrency) as pool:
            list(pool.map(invoke, keys))
        return {}

    return run


def measure(connection: Connection, name: str, alone: bool) -> dict[str, Any]:
    """Run a method in this process; return its seconds, the growth of peak memory in MB, and the masks' hashes."""
    clients = Clients(connection)
    accept, concurrency = METHODS[name]
    if alone:
        run = endpoint_alone(clients, accept, concurrency)
    elif name == TUTORIAL:
        run = tutorial_loop(clients)
    else:
        run = batch_method(clients, "mask" if name == MASKS else "probabilities")
    pages = clients.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="in/")
    keys = [row["Key"] for page in pages for row in page["Contents"]]
    run(keys[:1])
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    start = time.perf_counter()
    digests = run(keys)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "megabytes": (peak - before) / 1e6, "digests": digests}


def in_process(connection: Connection, name: str, *, alone: bool) -> dict[str, Any]:
    """Measure a method in a new process."""
    command = [sys.executable, "-m", "bench.batch", "--method", name, *(["--alone"] if alone else [])]
    done = subprocess.run(
        command, cwd=ROOT, input=json.dumps(asdict(connection)), stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@contextmanager
def sandbox() -> Iterator[Connection]:
    """Start a sandbox with the demo endpoint, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        address, process = launcher.ensure(Path(folder))
        try:
            yield Connection(address.region, address.url, None, address.access_key, address.secret_key)
        finally:
            if process is not None:
                process.terminate()
                process.wait(60)


def report(count: int, runs: dict[tuple[str, bool], list[dict[str, Any]]]) -> str:
    """Return a line per method, then the ratio to the tutorial and the goal."""
    seconds = {key: statistics.median(run["seconds"] for run in each) for key, each in runs.items()}
    lines = []
    for name, (_, concurrency) in METHODS.items():
        took, alone = seconds[name, False], seconds[name, True]
        megabytes = max(run["megabytes"] for run in runs[name, False])
        lines.append(
            f"{name:21}{concurrency} at once {count / took:7.2f} images per second {megabytes:7.0f} MB   "
            f"{ALONE} {count / alone:6.2f}: overhead {took / alone - 1:6.1%}"
        )
    overhead = seconds[MASKS, False] / seconds[MASKS, True] - 1
    lines += [
        f"{name}: {seconds[TUTORIAL, False] / seconds[name, False]:.1f} times the tutorial's speed"
        for name in (MASKS, PROBABILITIES)
    ]
    lines.append(
        f"overhead of {MASKS}: goal <= {GOAL:.0%}, {'reached' if overhead <= GOAL else 'NOT reached'}"
    )
    return "\n".join(lines)


def check(runs: dict[tuple[str, bool], list[dict[str, Any]]]) -> None:
    """Check that every method has made the same masks. Raises SystemExit."""
    made = [run["digests"] for (_, alone), each in runs.items() if not alone for run in each]
    if any(digests != made[0] for digests in made):
        raise SystemExit("The masks differ.")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--method", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        print(json.dumps(measure(Connection(**json.load(sys.stdin)), options.method, options.alone)))
        return
    print(f"{options.images} images of 800 x 600 pixels, {options.rounds} rounds", flush=True)
    runs: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    with sandbox() as connection:
        prepare(connection, options.images)
        for number in range(options.rounds):
            for name in METHODS:
                for alone in (True, False) if number % 2 else (False, True):
                    runs.setdefault((name, alone), []).append(in_process(connection, name, alone=alone))
    check(runs)
    print(report(options.images, runs))


if __name__ == "__main__":
    main()
