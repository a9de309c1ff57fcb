"""The chosen model of a deploy, inspected: network, whether it can be served, class names."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from core.artifacts.artifact import Artifact
from core.aws.class_names import FoundClasses
from core.aws.connection import Connection
from core.errors import ArtifactError, DeniedError
from pages.parts import links, messages, state
from pages.parts.deploy import data, summary
from pages.parts.deploy import source as deploy_source
from pages.parts.deploy.source import ModelChoice


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model that can be served, as far as is known.

    artifact: its contents; None if it could not be inspected, and `unseen` says why.
    names:    its class names, if there are any.
    """

    source: ModelChoice
    artifact: Artifact | None
    names: FoundClasses
    unseen: str = ""

    @property
    def count(self) -> int | None:
        """Return the number of classes; None if unknown."""
        return self.artifact.num_classes if self.artifact else None


def choose(connection: Connection) -> Chosen | None:
    """Draw the choice and the inspected model; return None until there is one that can be served. Raises AwsError."""
    source = deploy_source.choose_source(connection)
    if source is None:
        return None
    if source.job:
        links.page_link(
            links.TRAINING_JOB,
            label=f"Open {messages.plain(source.job)}",
            icon=":material/model_training:",
            query_params={state.JOB: source.job},
        )
    try:
        artifact, unseen = _inspect(connection, source)
    except ArtifactError as error:
        summary.refused(error)
        return None
    if artifact is not None:
        summary.contents(artifact)
        if refusal := artifact.refusal(sandbox=connection.is_sandbox):
            summary.refused(refusal)
            return None
    return Chosen(source, artifact, data.class_names(connection, source.class_uris), unseen)


def _inspect(connection: Connection, source: ModelChoice) -> tuple[Artifact | None, str]:
    """Return the inspected artifact, or why it could not be inspected. Raises ArtifactError, AwsError."""
    if source.file is not None:
        if isinstance(source.file.artifact, ArtifactError):
            raise source.file.artifact
        return source.file.artifact, ""
    if not source.model_uri:
        return None, "The artifact was not inspected: AWS does not return its S3 URI."
    try:
        with st.spinner("Inspecting the artifact ..."):
            return data.artifact(connection, source.model_uri), ""
    except DeniedError as error:
        return None, f"The artifact was not inspected. {error}"
