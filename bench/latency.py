"""Measure how long a small response takes on a kept connection: `python -m bench.latency`.

Two dashboards with the same pages:

    segdeck  as `make run` starts it: `app.py`, which sets TCP_NODELAY on the listening socket
    stock    under Streamlit's own settings, without `app.py`: a response's body waits for the client's delayed ACK

Each is asked in turn for its health, a response of two bytes, on one connection that stays open. Client and servers
share this machine, so compare only the ratio within one run.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import time
from contextlib import closing

from bench.rerun import Dashboard, dashboard
from bench.support.jobs_server import JobsServer, many

NAMES = ("segdeck", "stock")
UNMEASURED = 20
"""First responses, during which the client acknowledges every packet at once."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with JobsServer(many(1)) as aws, dashboard("segdeck", aws) as ours, dashboard("stock", aws) as stock:
        took = measure(ours, stock, rounds)
    for name in NAMES:
        ordered = sorted(took[name])
        p95 = ordered[int(0.95 * (len(ordered) - 1))]
        print(f"{name:8} p50 {statistics.median(ordered) * 1000:5.1f}  p95 {p95 * 1000:5.1f} ms")
    print(f"{statistics.median(took['stock']) / statistics.median(took['segdeck']):.1f} times faster")


def measure(ours: Dashboard, stock: Dashboard, rounds: int) -> dict[str, list[float]]:
    """Return each dashboard's response times in seconds."""
    took: dict[str, list[float]] = {name: [] for name in NAMES}
    with closing(_connection(ours)) as first, closing(_connection(stock)) as second:
        for number in range(UNMEASURED + rounds):
            for name, connection in zip(NAMES, (first, second), strict=True):
                seconds = _request(connection)
                if number >= UNMEASURED:
                    took[name].append(seconds)
    return took


def _connection(server: Dashboard) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)


def _request(connection: http.client.HTTPConnection) -> float:
    begin = time.perf_counter()
    connection.request("GET", "/_stcore/health")
    response = connection.getresponse()
    response.read()
    seconds = time.perf_counter() - begin
    assert response.status == http.client.OK
    return seconds


if __name__ == "__main__":
    main()
