"""Start Streamlit with a probe that reports the memory of the process: `python -m bench.support.memory_probe ...`.

For every line written to the file descriptor MEMORY_PROBE_IN, it writes one line of JSON to MEMORY_PROBE_OUT. Words
on
the line: `trim` first makes the C allocator release its free memory, `types` adds counts of objects by type, and
`traces` the allocations by traceback (start with `-X tracemalloc=12`). The last two stop the process for seconds: use
them to find a leak, not to measure speed.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import runpy
import sys
import threading
import tracemalloc
from collections import Counter
from typing import Any

MOST = 400


class MallInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def main() -> None:
    """Serve the pipes in a thread, and run Streamlit."""
    source, target = (
        os.fdopen(int(os.environ[f"MEMORY_PROBE_{end}"]), mode) for end, mode in (("IN", "r"), ("OUT", "w"))
    )

    def answer() -> None:
        for line in source:
            print(json.dumps(_report(line.split())), file=target, flush=True)

    threading.Thread(target=answer, daemon=True, name="memory probe").start()
    sys.argv = ["streamlit", *sys.argv[1:]]
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)


def _report(wanted: list[str]) -> dict[str, Any]:
    if "trim" in wanted:
        gc.collect()
        if hasattr(library := ctypes.CDLL(None), "malloc_trim"):
            library.malloc_trim(0)
    report: dict[str, Any] = {"threads": threading.active_count(), **_allocator(), **_streamlit()}
    if "types" in wanted:
        gc.collect()
        counts = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())
        report["types"] = dict(counts.most_common(MOST))
    if "traces" in wanted and tracemalloc.is_tracing():
        snapshot = tracemalloc.take_snapshot()
        report["traces"] = {
            " < ".join(str(frame) for frame in reversed(statistic.traceback)): statistic.size
            for statistic in snapshot.statistics("traceback")[:MOST]
        }
    return report


def _allocator() -> dict[str, int]:
    """Return the bytes in use and those that glibc keeps free; empty with another C library."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return {}
    library.mallinfo2.restype = MallInfo
    info = library.mallinfo2()
    return {"used": info.uordblks + info.hblkhd, "free": info.fordblks}


def _streamlit() -> dict[str, Any]:
    from streamlit.runtime import Runtime, exists  # noqa: PLC0415  # not before Streamlit itself
    from streamlit.runtime.stats import CacheStat  # noqa: PLC0415

    if not exists():
        return {}
    runtime = Runtime.instance()
    sizes: Counter[str] = Counter()
    for entries in runtime.stats_mgr.get_stats().values():
        for entry in entries:
            if isinstance(entry, CacheStat):
                sizes[entry.category_name] += entry.byte_length
    return {"streamlit": dict(sizes)}


if __name__ == "__main__":
    main()
