"""The model of a deploy, chosen and looked into: what it is, whether it can be served, how its classes are called."""

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

    artifact: what is inside; None where it could not be looked into, and `unseen` says why.
    names:    its class names, where they lie.
    """

    source: ModelChoice
    artifact: Artifact | None
    names: FoundClasses
    unseen: str = ""

    @property
    def count(self) -> int | None:
        """How many classes it has."""
        return self.artifact.num_classes if self.artifact else None


def choose(connection: Connection) -> Chosen | None:
    """The choice, and what was found inside; None until there is a model that can be served. Raises AwsError."""
    source = deploy_source.ask(connection)
    if source is None:
        return None
    if source.job:
        st.page_link(
            links.TRAINING_JOB,
            label=f"Open {messages.plain(source.job)}",
            icon=":material/model_training:",
            query_params={state.JOB: source.job},
        )
    try:
        artifact, unseen = _look(connection, source)
    except ArtifactError as error:
        summary.refused(error)
        return None
    if artifact is not None:
        summary.contents(artifact)
        if refusal := artifact.refusal(sandbox=connection.is_sandbox):
            summary.refused(refusal)
            return None
    return Chosen(source, artifact, data.class_names(connection, source.places), unseen)


def _look(connection: Connection, source: ModelChoice) -> tuple[Artifact | None, str]:
    """What is inside, or why that is not known. Raises ArtifactError, AwsError."""
    if source.file is not None:
        if isinstance(source.file.artifact, ArtifactError):
            raise source.file.artifact
        return source.file.artifact, ""
    if not source.model_uri:
        return None, "AWS does not tell where this model's artifact lies, so nobody has looked inside."
    try:
        with st.spinner("Looking into the artifact ..."):
            return data.artifact(connection, source.model_uri), ""
    except DeniedError as error:
        return None, f"Nobody has looked inside. {error}"
