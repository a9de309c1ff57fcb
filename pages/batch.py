"""The page of one transform job: its progress, cost and log, its failed images, and the gallery of its masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from core.aws.batch import Outputs
from core.aws.connection import Connection
from core.batch.job import TransformJob, clone_spec
from core.batch.objects import folder_uri, output_key, shared_outputs
from core.batch.prepare import job_name, prepare_resume
from core.cost.batch import SANDBOX_STARTUP_SECONDS, STARTUP_SECONDS, batch_price, speed_of
from core.errors import InputError
from core.plans.batch import plan_batch, plan_stop_batch
from core.text import listing, plural
from pages.parts import backend, cached, formatting, links, messages, plan_dialog, refresh, state
from pages.parts.batch import data, details, filters, gallery, header, slots
from pages.parts.batch.data import JobInputs
from pages.parts.batch.images import ShownBatch
from pages.parts.batch.measure import Measurement, measurement
from pages.parts.shared_cache import OptionalPart, Snapshot

REFRESH, MEASURING = 5.0, 1.0  # seconds between two refreshes of a running job, and of a measurement
OBJECTS_PER_SECOND = 2_000  # listed at each refresh: a job with more is refreshed less often
TABS = ("Masks", "Failed images", "Log", "Instances", "Settings")


@dataclass(frozen=True, slots=True)
class BatchParts:
    """What a page shows of a job. Each part may be missing."""

    outputs: OptionalPart[Outputs]
    inputs: OptionalPart[JobInputs]

    def placed(self, job: TransformJob) -> JobInputs:
        """Return the images with their S3 URI; where they could not be listed, with the job's own."""
        inputs = self.inputs.value
        return inputs if inputs.prefix else replace(inputs, prefix=folder_uri(job.input_uri))

    @property
    def known(self) -> bool:
        """Return whether both images and masks were listed."""
        return all(part.waiting is None and part.failure is None for part in (self.outputs, self.inputs))

    @property
    def missing(self) -> frozenset[str] | None:
        """Return the images without a mask; None if that is unknown."""
        if not self.known:
            return None
        written = self.outputs.value.objects
        images = self.inputs.value.inputs.images
        return frozenset(image.key for image in images if output_key(image.key) not in written)


def main() -> None:
    """Draw the back link, then the job, which refreshes automatically until it has ended."""
    filters.back_link()
    if message := state.take_notification():
        st.toast(message, icon=":material/check_circle:")
    name = state.job_in_url()
    if not name:
        st.title("Transform job")
        st.info("**No transform job selected.** Choose one from the list of batches.")
        return
    st.set_page_config(page_title=f"{name} · Segdeck")
    connection = backend.connection()
    refresh.live(
        f"transform job {name}",
        lambda: _job(connection, name),
        lambda: _interval(connection, data.job(connection, name).value),
    )


def _interval(connection: Connection, job: TransformJob) -> float | None:
    if measurement(connection, job.name).running:
        return MEASURING
    if not job.running:
        return None
    return max(REFRESH, len(data.outputs(connection, job).value.objects) / OBJECTS_PER_SECOND)


def _job(connection: Connection, name: str) -> float | None:
    """Draw the job as it is now. The title comes first: it needs nothing from AWS."""
    title = st.container(horizontal=True, vertical_alignment="center", gap="small")
    title.title(messages.plain(name), width="stretch")
    snapshot = data.job(connection, name)
    job = snapshot.value
    with title:
        header.status_badge(job)
    parts = BatchParts(data.outputs(connection, job), data.inputs(connection, job))
    inputs = parts.inputs.value
    if inputs.complete and inputs.inputs.images:  # other jobs may write below the same prefix
        own = parts.outputs.value.of(inputs.inputs)
        parts = replace(parts, outputs=replace(parts.outputs, value=own))
    measured = measurement(connection, name)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        header.facts(job)
        _actions(connection, job, parts, measured)
    interval = _interval(connection, job)
    header.freshness(snapshot, every=interval or REFRESH)
    if job.failure_reason:
        st.error(messages.plain(job.failure_reason), icon=":material/error:")
        _what_is_left(parts)
    _progress(connection, snapshot, parts)
    _tabs(connection, snapshot, parts, measured)
    return interval


def _what_is_left(parts: BatchParts) -> None:
    """Draw what a failed job has written: one image that cannot be read makes AWS report the whole job as failed."""
    missing, masks = parts.missing, len(parts.outputs.value.objects)
    if missing is None or not masks:
        return
    st.caption(
        f":material/info: {masks:,} of {plural(masks + len(missing), 'mask')} are there. *Failed images* has the "
        "reason for each image that failed; *Resume* starts a job for the others without a mask."
    )


def _actions(connection: Connection, job: TransformJob, parts: BatchParts, measured: Measurement) -> None:
    """Draw the buttons that act on the job. A button only opens a plan or another page."""
    with st.container(horizontal=True, width="content", gap="small"):
        if job.running and st.button(
            "Stop", icon=":material/stop_circle:", disabled=job.status == "Stopping"
        ):
            plan_dialog.open_plan(
                plan_stop_batch(job, billed=not connection.is_sandbox), connection, st.rerun
            )
        resumable = not job.running and bool(parts.missing or measured.invalid)
        if resumable and st.button("Resume", icon=":material/resume:"):
            with messages.error_boundary("resume"):
                _resume(connection, job, parts, measured)
        if st.button("Clone", icon=":material/content_copy:"):
            links.open_page(links.LAUNCH_BATCH, {state.CLONE: job.name})


def _resume(connection: Connection, job: TransformJob, parts: BatchParts, measured: Measurement) -> None:
    """Open the plan of a job for the images without a valid mask, except those that the log names as failed."""
    inputs, tags = parts.inputs.value, data.tags(connection, job)
    if not (inputs.complete and parts.outputs.value.complete):
        raise InputError(
            f"The transform job {job.name} cannot be resumed.",
            why="There are too many objects to list them all.",
            todo="Start jobs for parts of the prefix instead.",
        )
    rejected = data.rejected(connection, job, inputs)
    for part in (rejected, tags):
        if part.waiting is not None:
            raise part.waiting
    warnings = [] if rejected.failure is None else [f"Failed images are sent again. {rejected.failure}"]
    own_tags, notes = tags.value
    spec = clone_spec(job, job_name(job.name, formatting.now()), own_tags)
    invalid = {output_key(key) for key, failure in measured.invalid.items() if not failure.too_large}
    valid = parts.outputs.value.objects.keys() - invalid
    batch = prepare_resume(spec, inputs.prefix, inputs.inputs, valid, rejected.value)
    if batch.excluded:
        warnings.append(f"Not sent again, because they failed: {listing(batch.excluded)}.")
    if not batch.images:
        st.info("**Nothing to resume.** " + messages.plain(" ".join(warnings)))
        return
    if len(measured.versions) < len(parts.outputs.value.objects):
        warnings.append("Existing masks were not all read. To find damaged ones, measure the masks first.")
    price = batch_price(
        spec.instance_type,
        spec.instance_count,
        len(batch.images),
        speed_of(job, len(parts.outputs.value.objects)),
        cached.prices(connection),
        startup=SANDBOX_STARTUP_SECONDS if connection.is_sandbox else STARTUP_SECONDS,
    )
    plan = plan_batch(
        batch.spec, price, manifest=batch.manifest, warnings=(*notes, *warnings, *batch.warnings)
    )
    plan_dialog.open_plan(plan, connection, lambda: links.open_page(links.BATCH, {state.JOB: plan.target}))


def _progress(connection: Connection, snapshot: Snapshot[TransformJob], parts: BatchParts) -> None:
    """Draw progress and metrics, and why a part of them is missing."""
    job = snapshot.value
    for part in (parts.outputs, parts.inputs):
        messages.why_not(part, snapshot)
    images = parts.inputs.value.inputs.images
    known = parts.inputs.waiting is None and (parts.inputs.failure is None or images)
    progress = None
    if parts.outputs.waiting is None and (parts.outputs.failure is None or parts.outputs.value.objects):
        progress = parts.outputs.value.progress(len(images) if known else None, parts.outputs.at)
        header.progress(job, progress)
    if shared := shared_outputs(parts.inputs.value.inputs, parts.inputs.value.prefix):
        st.warning(messages.plain(shared), icon=":material/file_copy:")
    missing = parts.missing
    header.metrics_row(
        job,
        progress,
        cached.prices(connection),
        snapshot.at,
        missing=None if missing is None else len(missing),
        sandbox=connection.is_sandbox,
    )
    if not (parts.outputs.value.complete and parts.inputs.value.complete):
        st.caption(
            ":material/info: There are too many objects to list them all: the counts are lower bounds."
        )


def _tabs(
    connection: Connection, snapshot: Snapshot[TransformJob], parts: BatchParts, measured: Measurement
) -> None:
    """Draw the open tab: only what it shows is read."""
    job = snapshot.value
    tabs = st.tabs(TABS, key=slots.TAB, on_change="rerun", bind="query-params")
    if tabs[0].open:
        with tabs[0]:
            found = data.classes(connection, job)
            for note in found.value.notes:
                st.caption(f":material/info: {messages.plain(note)}")
            messages.why_not(found, snapshot)
            if parts.inputs.waiting is None and parts.outputs.waiting is None and found.waiting is None:
                placed = parts.placed(job)
                shown = ShownBatch(connection, job, placed.prefix, found.value.classes, placed.inputs.outside)
                gallery.show(shown, gallery.masks_of(parts.outputs.value), measured)
    if tabs[1].open:
        with tabs[1]:
            rejected = data.rejected(connection, job, parts.placed(job))
            details.failed_images(snapshot, parts.missing, rejected, measured)
    if tabs[2].open:
        with tabs[2]:
            details.log(connection, snapshot)
    if tabs[3].open:
        with tabs[3]:
            details.instances(connection, snapshot)
    if tabs[4].open:
        with tabs[4]:
            details.settings(job, connection)


main()
