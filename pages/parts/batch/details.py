"""The tabs of a transform job's page besides the masks: failed images, log, instances, settings."""

from __future__ import annotations

import altair as alt
import pandas as pd
import streamlit as st

from core.aws.connection import Connection
from core.batch.job import TransformJob
from core.escaping import json_text, markdown_link, terminal
from pages.parts import elements, links, log_view, messages
from pages.parts.batch import data
from pages.parts.batch.measure import Measurement
from pages.parts.shared_cache import OptionalPart, Snapshot

UTILIZATION_LABELS = {
    "CPUUtilization": "CPU",
    "MemoryUtilization": "Memory",
    "GPUUtilization": "GPU",
    "GPUMemoryUtilization": "GPU memory",
}

MAX_ROWS = 1000
"""Failed images shown at once."""


def failed_images(
    seen: Snapshot[TransformJob],
    missing: frozenset[str] | None,
    rejected: OptionalPart[dict[str, str]],
    measured: Measurement,
) -> None:
    """Draw the images that failed with the reason, those without a mask, and masks that are not valid.

    missing: images without a mask; None if unknown.
    """
    messages.why_not(rejected, seen)
    reasons = {key: why for key, why in rejected.value.items() if missing is None or key in missing}
    if not seen.value.running and missing is not None:
        unknown = "no reason in the log: not processed, or stopped before it was"
        reasons |= {key: unknown for key in missing if key not in reasons}
    reasons |= {key: failure.reason for key, failure in measured.invalid.items()}
    if not reasons:
        running = "No image has failed so far." if seen.value.running else "Every image has a mask."
        st.caption("The number of images is unknown." if missing is None else running)
        return
    shown = sorted(reasons.items())[:MAX_ROWS]
    elements.dataframe(
        pd.DataFrame({"image": [key for key, _ in shown], "reason": [why for _, why in shown]}),
        hide_index=True,
        column_config={
            "image": st.column_config.TextColumn("Image", width=320),
            "reason": st.column_config.TextColumn("Reason", width=560),
        },
        alt="Images without a valid mask",
    )
    if len(reasons) > len(shown):
        st.caption(f"The first {len(shown):,} of {len(reasons):,}.")
    st.caption(
        "**Resume** starts a job for the images without a mask, except those that the log names as failed."
    )


def log(connection: Connection, seen: Snapshot[TransformJob]) -> None:
    """Draw the log: a choice of its streams, and the lines of one."""
    job = seen.value
    streams = data.streams(connection, job)
    messages.why_not(streams, seen)
    if not streams.value:
        if streams.waiting is None and streams.failure is None:
            empty = "No log lines yet." if job.running else "This job has no log, or it has expired."
            st.caption(empty)
        return
    stream = st.selectbox(
        "Stream",
        streams.value,
        format_func=lambda name: terminal(name.partition("/")[2] or name),
        key=f"batch-stream-{job.name}",
        help="One per instance; data-log names the images that failed.",
        width=420,
    )
    stream = stream or streams.value[0]
    lines = data.log(connection, job, stream)
    messages.why_not(lines, seen)
    if lines.value.has_log:
        log_view.show(job.name, lines.value, "No log lines yet.", stream=stream)


def instances(connection: Connection, seen: Snapshot[TransformJob]) -> None:
    """Draw the utilization of CPU, memory and GPU in percent, averaged over the instances."""
    job = seen.value
    streams = data.streams(connection, job)
    messages.why_not(streams, seen)
    if streams.waiting is not None or streams.failure is not None:
        return
    part = data.utilization(connection, job, streams.value)
    messages.why_not(part, seen)
    if not part.value.series:
        if part.waiting is None and part.failure is None:
            yet = " yet: the first arrive about a minute after the start" if job.running else ""
            st.caption(f"CloudWatch has no instance metrics for this job{yet}.")
        return
    frame = pd.concat(
        [
            pd.DataFrame({"name": UTILIZATION_LABELS[each.name], "time": each.times, "value": each.values})
            for each in part.value.series
        ],
        ignore_index=True,
    )
    chart = alt.Chart(frame).encode(
        x=alt.X("time:T", title=None, axis=alt.Axis(labelOverlap=True, tickCount=7)),
        y=alt.Y("value:Q", title="Utilization (%)"),
        color=alt.Color("name:N", sort=None, legend=alt.Legend(title=None, orient="top")),
        tooltip=[
            alt.Tooltip("name:N", title="Metric"),
            alt.Tooltip("value:Q", title="Value", format=".1f"),
            alt.Tooltip("time:T", title="Time", format="%b %-d, %H:%M"),
        ],
    )
    st.altair_chart(
        chart.mark_line(point=True, strokeWidth=2).properties(height=240),
        width="stretch",
        alt="Utilization of the instances over time",
    )
    average = "" if part.value.instances == 1 else f"Average of {part.value.instances} instances. "
    st.caption(f"{average}CloudWatch, one point per minute. CPU is summed over all cores, GPU over all GPUs.")


def settings(job: TransformJob, connection: Connection) -> None:
    """Draw where images and masks are, and the request of the job."""
    for label, uri in (("Images", job.input_uri), ("Masks", job.output_uri)):
        address = links.s3_console(uri, connection.region)
        link = "" if connection.is_sandbox else f" {markdown_link(':material/open_in_new:', address)}"
        st.caption(f"{label}{link}")
        elements.code(uri, language=None, wrap_lines=True)
    st.caption("ARN")
    elements.code(job.arn, language=None, wrap_lines=True)
    st.caption("Settings")
    request = json_text(job.request, indent=2, ascii_only=False)
    elements.code_block(request, language="json", height=320)
