"""A `model.tar.gz` from the visitor's machine, on its way to S3.

Streamlit keeps uploads in memory, and copies them at each run. So the file goes to disk at once and the widget is
emptied; the file goes when its visitor does.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import streamlit as st

from core.artifacts.artifact import Artifact, inspect_artifact
from core.errors import ArtifactError
from core.local_files import private_folder, private_opener
from pages.parts import formatting, messages, state, upstream
from pages.parts.state import Slot

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

CHUNK = 1 << 20


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


def ask() -> LocalFile | None:
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
        key=state.DEPLOY.field("file"),
    )
    st.caption(
        ":material/terminal: A larger one goes by `python cli.py endpoints deploy --file model.tar.gz`, "
        "or to S3 first and then by its address."
    )
    if dropped is not None:
        MODEL_FILE.set(_to_disk(dropped))
        state.DEPLOY.renew("file")  # the drop zone is empty from now on
        st.rerun()


def _to_disk(dropped: UploadedFile) -> LocalFile:
    folder = upstream.settings().state_dir / "uploads"
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
