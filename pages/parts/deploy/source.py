"""The source of the model to deploy: a training job, an artifact in S3, a SageMaker model, or a local file."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, cast

import streamlit as st

from core.artifacts.artifact import Artifact, inspect_artifact
from core.aws.class_names import class_uri_with_data, class_uris_of_job
from core.aws.connection import Connection
from core.endpoints.detail import Model
from core.endpoints.endpoint import classes_uri_for
from core.errors import ArtifactError, DeniedError
from core.escaping import terminal
from core.local_files import private_folder, private_opener
from core.plans.deploy import ModelUpload
from core.plans.model_source import missing_model
from core.training.filters import JobFilter
from core.training.job import STATUS_WORDS, TrainingJob
from pages.parts import backend, cached, formatting, messages, state
from pages.parts.deploy import data
from pages.parts.state import Form, Slot

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

DEPLOY = Form("deploy")
"""The form that creates or updates an endpoint."""

Kind = Literal["job", "artifact", "model", "file"]
KINDS: dict[Kind, str] = {
    "job": "Training job",
    "artifact": "S3 artifact",
    "model": "SageMaker model",
    "file": "Upload model.tar.gz",
}
URL_NAMES = (state.JOB, state.ARTIFACT, state.MODEL)
"""URL parameters that can name a model, by precedence."""

CHUNK = 1 << 20

HAVE_MODEL = ("Completed", "Stopped")
"""Statuses of jobs that can have left a model, where the list does not report whether they have."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model to deploy.

    title:      its name, used to suggest the endpoint's name.
    model_uri:  the S3 URI of its artifact, existing or to be uploaded; empty if AWS does not return it.
    role_arn:   the role it was trained or registered with; empty if there is none.
    job:        the training job that produced it; empty if unknown.
    class_uris: S3 URIs that may hold its class names.
    with_data:  the one of them that belongs to the training data and not to the model.
    model:      the SageMaker model it is registered as; else empty.
    file:       the local file to upload first; None if the artifact is in S3.
    registered: that SageMaker model itself; else None.
    settings:   parameters of CreateModel for a new endpoint: the network of the training job.
    """

    title: str
    model_uri: str
    role_arn: str = ""
    job: str = ""
    class_uris: tuple[str, ...] = ()
    with_data: str = ""
    model: str = ""
    file: LocalFile | None = None
    registered: Model | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str]:
        """Return what tells this model from any other that can be chosen, whatever has been read about it."""
        if self.file is not None:
            return "file", self.file.sha256
        if self.model:
            return "model", self.model
        return ("job", self.job) if self.job else ("artifact", self.model_uri)

    @property
    def upload(self) -> ModelUpload | None:
        """Return the upload of the file to `model_uri`; None without a file."""
        file = self.file
        return ModelUpload(file.path, self.model_uri, file.size, file.sha256) if file else None


def fields_from_url() -> dict[str, str]:
    """Return the fields that the URL fills in."""
    query = state.query(URL_NAMES)
    fields = {
        "job": query.get(state.JOB),
        "artifact": query.get(state.ARTIFACT),
        "model": query.get(state.MODEL),
    }
    kind = next((name for name, value in fields.items() if value), "job")
    return {"kind": kind, **{name: value or "" for name, value in fields.items()}}


def choose_source(connection: Connection) -> ModelChoice | None:
    """Draw the choice of a model; return None until one is chosen. Raises NotFoundError, InputError, AwsError."""
    kind = cast(
        "Kind",
        st.segmented_control(
            "Model source",
            list(KINDS),
            format_func=KINDS.__getitem__,
            required=True,
            key=DEPLOY.field("kind"),
            persist_state="session",
        ),
    )
    return _ASK[kind](connection)


def _job(connection: Connection) -> ModelChoice | None:
    jobs = cached.jobs(connection, JobFilter()).value
    for note in jobs.notes:
        st.caption(f":material/info: {messages.plain(note)}")
    listed = [job for job in jobs.jobs if job.model_uri or (job.summary and job.status in HAVE_MODEL)]
    by_name = {job.name: job for job in listed}
    name = _choice(
        "Training job", "job", list(by_name), _titles(listed), "No training job has produced a model yet."
    )
    if not name:
        return None
    job = by_name.get(name)
    if job is None or job.summary:
        job = _named_job(connection, name)
    if not job.model_uri:
        st.warning(messages.card(missing_model(job)), icon=":material/hourglass_empty:")
        return None
    places, with_data = class_uris_of_job(job), class_uri_with_data(job)
    settings = job.security.model_settings
    return ModelChoice(name, job.model_uri, job.role_arn, job.name, places, with_data, settings=settings)


def _named_job(connection: Connection, name: str) -> TrainingJob:
    """Return a job that is not in the list, with its tags if they can be read."""
    job = cached.training_job(connection, name).value
    tags = cached.job_tags(connection, job)
    if tags.waiting is not None:
        raise tags.waiting
    return replace(job, tags=tags.value)


def _artifact(_connection: Connection) -> ModelChoice | None:
    uri = st.text_input(
        "Artifact URI",
        key=DEPLOY.field("artifact"),
        placeholder="s3://my-bucket/models/my-job/output/model.tar.gz",
        help="S3 URI of a model.tar.gz trained with this algorithm.",
        persist_state="session",
    ).strip()
    if not uri:
        return None
    return ModelChoice(_title_of(uri), uri, class_uris=_class_uris(uri))


def _model(connection: Connection) -> ModelChoice | None:
    names: tuple[str, ...] = ()
    try:
        names = data.models(connection)
    except DeniedError as error:
        st.caption(f":material/info: {messages.line(error)}")
    name = _choice("Model", "model", list(names), {}, "No SageMaker models in this region.")
    if not name:
        return None
    try:
        model = data.model(connection, name)
    except DeniedError as error:
        st.caption(f":material/info: {messages.line(error)}")
        return ModelChoice(name, "", model=name)
    return ModelChoice(
        name,
        model.model_uri,
        model.role_arn,
        model.job,
        _class_uris(model.model_uri),
        model=name,
        registered=model,
    )


def _file(_connection: Connection) -> ModelChoice | None:
    file = _ask_file()
    if file is None:
        return None
    folder = st.text_input(
        "Upload to",
        key=DEPLOY.field("folder"),
        placeholder="s3://my-bucket/models/",
        help="S3 prefix to upload to. Segdeck adds a folder named after the file's hash.",
        persist_state="session",
    ).strip()
    if not folder:
        st.caption(":material/folder: Enter an S3 prefix: endpoints load their model from S3.")
        return None
    uri = f"{folder.rstrip('/')}/{file.sha256[:12]}/model.tar.gz"
    return ModelChoice(file.title, uri, file=file)


_ASK = {"job": _job, "artifact": _artifact, "model": _model, "file": _file}


def _choice(label: str, field: str, names: list[str], titles: dict[str, str], none: str) -> str:
    """Draw a choice of these names, and of the one in the URL; return an empty text until one is chosen."""
    current = DEPLOY.get(field) or ""
    options = names if not current or current in names else [current, *names]
    if not options:
        st.info(f"**{none}** Choose an S3 artifact or upload a file instead.", icon=":material/info:")
        return ""
    if not current:
        DEPLOY.set(field, None)
    chosen: str | None = st.selectbox(
        label,
        options,
        index=None,
        format_func=lambda name: terminal(titles.get(name, name)),
        placeholder="Choose",
        key=DEPLOY.field(field),
        persist_state="session",
    )
    return chosen or ""


def _titles(jobs: Sequence[TrainingJob]) -> dict[str, str]:
    """Return job name -> its line in the list. A job that did not complete is marked: its model is not finished."""
    return {
        job.name: " · ".join(
            (
                job.name,
                *([] if job.status == "Completed" else [STATUS_WORDS.get(job.status, job.status)]),
                *([] if job.summary else [job.algorithm]),
                formatting.ago(job.created_at),
            )
        )
        for job in jobs
    }


def _class_uris(uri: str) -> tuple[str, ...]:
    class_uri = classes_uri_for(uri)
    return (class_uri,) if class_uri else ()


def _title_of(uri: str) -> str:
    """Return the job name in `.../JOB/output/model.tar.gz`, else the name of the folder."""
    folders = [part for part in uri.removeprefix("s3://").split("/")[:-1] if part and part != "output"]
    return folders[-1] if folders else "model"


@dataclass(frozen=True, slots=True, eq=False)
class LocalFile:
    """A file that was uploaded to this dashboard.

    name:     its name on the user's machine.
    path:     its path on the dashboard's machine.
    size:     bytes. sha256: hexadecimal.
    artifact: its contents, or why it cannot be served.
    held:     the temporary folder that holds it.
    """

    name: str
    path: str
    size: int
    sha256: str
    artifact: Artifact | ArtifactError
    held: TemporaryDirectory[str]

    @property
    def title(self) -> str:
        """Return its name without extensions."""
        return self.name.partition(".")[0] or "model"


MODEL_FILE: Slot[LocalFile] = Slot("deploy.model_file")
"""The uploaded `model.tar.gz`. Removing it also deletes it from disk."""


def _ask_file() -> LocalFile | None:
    """Draw the file uploader or, once there is one, the uploaded file."""
    file = MODEL_FILE.get()
    if file is None:
        _drop_zone()
        return None
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f":material/folder_zip: **{messages.plain(file.name)}** · {file.size / 1e6:,.1f} MB",
            width="stretch",
        )
        st.button("Replace", type="tertiary", on_click=MODEL_FILE.clear)
    return file


def _drop_zone() -> None:
    limit = int(st.get_option("server.maxUploadSize"))
    dropped = st.file_uploader(
        f"`model.tar.gz` trained with this algorithm, up to {limit:,} MB",
        type=["gz", "tgz"],
        key=DEPLOY.field("file"),
    )
    st.caption(
        ":material/terminal: For a larger file, use `segdeck endpoints deploy --file model.tar.gz`, "
        "or upload it to S3 and choose S3 artifact."
    )
    if dropped is not None:
        MODEL_FILE.set(_to_disk(dropped))
        DEPLOY.renew("file")  # empties the uploader
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
        dropped.name, str(path), dropped.size, digest.hexdigest(), _inspect(path, dropped.name), held
    )


def _sweep(folder: Path) -> None:
    """Remove files older than 24 hours, left by a dashboard that was stopped."""
    for left in folder.iterdir():
        if left.stat().st_mtime < formatting.now().timestamp() - formatting.DAY:
            shutil.rmtree(left, ignore_errors=True)


def _inspect(path: Path, name: str) -> Artifact | ArtifactError:
    with path.open("rb") as file:
        try:
            return inspect_artifact(file, name, path.stat().st_size)
        except ArtifactError as error:
            return error
