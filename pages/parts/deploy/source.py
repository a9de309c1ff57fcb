"""Where the model of a deploy comes from: a training job, an artifact in S3, a registered model, or a file."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, cast

import streamlit as st

from core.artifacts.artifact import Artifact, inspect_artifact
from core.aws.class_names import class_uri_with_data, class_uris_of_job
from core.aws.connection import Connection
from core.endpoints.endpoint import classes_uri_for
from core.errors import ArtifactError
from core.escaping import terminal
from core.local_files import private_folder, private_opener
from core.plans.deploy import ModelUpload
from core.plans.model_source import missing_model
from core.training.filters import JobFilter
from core.training.job import TrainingJob
from pages.parts import backend, cached, formatting, messages, state
from pages.parts.deploy import data
from pages.parts.state import Form, Slot

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

DEPLOY = Form("deploy")
"""The form that starts or updates an endpoint."""

Kind = Literal["job", "artifact", "model", "file"]
KINDS: dict[Kind, str] = {
    "job": "A training job",
    "artifact": "An artifact in S3",
    "model": "A registered model",
    "file": "A file of mine",
}
ASKED = (state.JOB, state.ARTIFACT, state.MODEL)
"""What an address can name a model by, the strongest first."""

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model to deploy.

    title:     what it is called, to name the endpoint after.
    model_uri: where its artifact lies, or will lie; empty where AWS does not tell.
    role_arn:  the role that it was trained or registered with; empty where there is none.
    job:       the training job that it came from; empty where nobody knows.
    places:    where its class names may lie.
    with_data: that one of them which is no part of the model, but of what it learned from.
    model:     the SageMaker Model that it is registered as; else empty.
    file:      what is uploaded first; None where it lies in S3.
    """

    title: str
    model_uri: str
    role_arn: str = ""
    job: str = ""
    places: tuple[str, ...] = ()
    with_data: str = ""
    model: str = ""
    file: LocalFile | None = None

    @property
    def upload(self) -> ModelUpload | None:
        """The file on its way to `model_uri`."""
        found = self.file
        return ModelUpload(found.path, self.model_uri, found.size, found.sha256) if found else None


def asked_for() -> dict[str, str]:
    """The fields that the address fills in."""
    asked = state.query(ASKED)
    fields = {
        "job": asked.get(state.JOB),
        "artifact": asked.get(state.ARTIFACT),
        "model": asked.get(state.MODEL),
    }
    kind = next((name for name, value in fields.items() if value), "job")
    return {"kind": kind, **{name: value or "" for name, value in fields.items()}}


def ask(connection: Connection) -> ModelChoice | None:
    """The choice of a model; None until one is chosen. Raises NotFoundError, InputError, AwsError."""
    kind = cast(
        "Kind",
        st.segmented_control(
            "The model comes from",
            list(KINDS),
            format_func=KINDS.__getitem__,
            required=True,
            key=DEPLOY.field("kind"),
            persist_state="session",
        ),
    )
    return _ASK[kind](connection)


def _job(connection: Connection) -> ModelChoice | None:
    listed = [job for job in cached.jobs(connection, JobFilter()).value.jobs if job.model_uri]
    by_name = {job.name: job for job in listed}
    name = _choice("Training job", "job", list(by_name), _titles(listed), "No training job has a model yet.")
    if not name:
        return None
    job = by_name.get(name) or _named_job(connection, name)
    if not job.model_uri:
        st.warning(messages.card(missing_model(job)), icon=":material/hourglass_empty:")
        return None
    places, with_data = class_uris_of_job(job), class_uri_with_data(job)
    return ModelChoice(name, job.model_uri, job.role_arn, job.name, places, with_data)


def _named_job(connection: Connection, name: str) -> TrainingJob:
    """One that the list does not hold, with its tags as far as they can be read."""
    job = cached.training_job(connection, name).value
    tags = cached.job_tags(connection, job)
    if tags.waiting is not None:
        raise tags.waiting
    return replace(job, tags=tags.value)


def _artifact(_connection: Connection) -> ModelChoice | None:
    uri = st.text_input(
        "Artifact",
        key=DEPLOY.field("artifact"),
        placeholder="s3://my-bucket/models/my-job/output/model.tar.gz",
        help="The S3 address of a model.tar.gz that this algorithm trained.",
        persist_state="session",
    ).strip()
    if not uri:
        return None
    return ModelChoice(_title_of(uri), uri, places=_beside(uri))


def _model(connection: Connection) -> ModelChoice | None:
    names = data.models(connection)
    name = _choice("Model", "model", list(names), {}, "No model is registered here.")
    if not name:
        return None
    found = data.model(connection, name)
    return ModelChoice(name, found.model_uri, found.role_arn, found.job, _beside(found.model_uri), model=name)


def _file(_connection: Connection) -> ModelChoice | None:
    file = _ask_file()
    if file is None:
        return None
    folder = st.text_input(
        "Upload to",
        key=DEPLOY.field("folder"),
        placeholder="s3://my-bucket/models/",
        help="The S3 prefix below which it is put, in a folder named after its content.",
        persist_state="session",
    ).strip()
    if not folder:
        st.caption(":material/folder: Say where in S3 it may go: endpoints read their model from there.")
        return None
    uri = f"{folder.rstrip('/')}/{file.sha256[:12]}/model.tar.gz"
    return ModelChoice(file.title, uri, file=file)


_ASK = {"job": _job, "artifact": _artifact, "model": _model, "file": _file}


def _choice(label: str, field: str, names: list[str], titles: dict[str, str], none: str) -> str:
    """One of these, or what the address names; empty until then."""
    asked = DEPLOY.get(field) or ""
    options = names if not asked or asked in names else [asked, *names]
    if not options:
        st.info(f"**{none}** Another way is to give an artifact or a file.", icon=":material/info:")
        return ""
    if not asked:
        DEPLOY.set(field, None)
    chosen: str | None = st.selectbox(
        label,
        options,
        index=None,
        format_func=lambda name: terminal(titles.get(name, name)),
        placeholder="Choose one",
        key=DEPLOY.field(field),
        persist_state="session",
    )
    return chosen or ""


def _titles(jobs: Sequence[TrainingJob]) -> dict[str, str]:
    return {job.name: f"{job.name} · {job.algorithm} · {formatting.ago(job.created_at)}" for job in jobs}


def _beside(uri: str) -> tuple[str, ...]:
    place = classes_uri_for(uri)
    return (place,) if place else ()


def _title_of(uri: str) -> str:
    """The job's name in `.../JOB/output/model.tar.gz`, else the folder's."""
    folders = [part for part in uri.removeprefix("s3://").split("/")[:-1] if part and part != "output"]
    return folders[-1] if folders else "model"


@dataclass(frozen=True, slots=True, eq=False)
class LocalFile:
    """A file that was uploaded to this dashboard.

    name:     as its owner calls it.
    path:     where it lies now.
    size:     bytes. sha256: hexadecimal.
    artifact: what is inside, or why it cannot be served.
    held:     keeps it on disk.
    """

    name: str
    path: str
    size: int
    sha256: str
    artifact: Artifact | ArtifactError
    held: TemporaryDirectory[str]

    @property
    def title(self) -> str:
        """Its name without endings."""
        return self.name.partition(".")[0] or "model"


MODEL_FILE: Slot[LocalFile] = Slot("deploy.model_file")
"""The `model.tar.gz` that was dropped. Once it is removed, it goes from disk too."""


def _ask_file() -> LocalFile | None:
    """The drop zone; in its place what was dropped, once it was."""
    found = MODEL_FILE.get()
    if found is None:
        _drop_zone()
        return None
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f":material/folder_zip: **{messages.plain(found.name)}** · {found.size / 1e6:,.1f} MB",
            width="stretch",
        )
        st.button("Take another", type="tertiary", on_click=MODEL_FILE.clear)
    return found


def _drop_zone() -> None:
    limit = int(st.get_option("server.maxUploadSize"))
    dropped = st.file_uploader(
        f"A `model.tar.gz` that this algorithm trained, up to {limit:,} MB",
        type=["gz", "tgz"],
        key=DEPLOY.field("file"),
    )
    st.caption(
        ":material/terminal: A larger one goes by `segdeck endpoints deploy --file model.tar.gz`, "
        "or to S3 first and then by its address."
    )
    if dropped is not None:
        MODEL_FILE.set(_to_disk(dropped))
        DEPLOY.renew("file")  # the drop zone is empty from now on
        st.rerun()


def _to_disk(dropped: UploadedFile) -> LocalFile:
    folder = backend.settings().state_dir / "uploads"
    private_folder(folder)
    _sweep(folder)
    held = TemporaryDirectory(dir=folder)
    path = Path(held.name) / (Path(dropped.name).name or "model.tar.gz")
    digest = hashlib.sha256()
    with open(path, "wb", opener=private_opener) as copy:
        while chunk := dropped.read(CHUNK):
            digest.update(chunk)
            copy.write(chunk)
    return LocalFile(
        dropped.name, str(path), dropped.size, digest.hexdigest(), _look(path, dropped.name), held
    )


def _sweep(folder: Path) -> None:
    """Remove what is older than a day: a dashboard that is ended leaves its visitors' files."""
    for left in folder.iterdir():
        if left.stat().st_mtime < formatting.now().timestamp() - formatting.DAY:
            shutil.rmtree(left, ignore_errors=True)


def _look(path: Path, name: str) -> Artifact | ArtifactError:
    with path.open("rb") as file:
        try:
            return inspect_artifact(file, name, path.stat().st_size)
        except ArtifactError as error:
            return error
