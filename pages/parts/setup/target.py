"""What the setup is checked for: fields that the address holds, so that a copied link checks the same."""

from __future__ import annotations

import streamlit as st

from core.access.target import SetupTarget, parse_target
from core.errors import InputError
from pages.parts import messages, state
from pages.parts.account_checks import BUCKET, INSTANCE_TYPES, ROLE
from pages.parts.state import Slot

NEW_ROLE = Slot[str]("setup.new_role")
"""The name of a role that was just created: the next run of the page puts it into the field."""


def ask(*, sandbox: bool) -> SetupTarget | None:
    """Draw the fields, and return what they name; None where a value cannot be meant."""
    if (new_role := NEW_ROLE.pop()) is not None:
        state.choose(ROLE, new_role)
    with st.grid(3, min_column_width=220, gap="small"):
        role = _field(
            ROLE,
            "Execution role",
            "Name or ARN",
            "The role that SageMaker assumes. Leave empty to use the only role that SageMaker can assume.",
        )
        bucket = _field(
            BUCKET, "Bucket", "my-bucket or s3://my-bucket/prefix", "The bucket of your data and models."
        )
        types = _field(
            INSTANCE_TYPES,
            "Instance types",
            "training=ml.g5.xlarge, ml.c5.xlarge",
            "Types whose quotas are checked, separated by commas; USE=TYPE for one use of training, spot, "
            "hosting and transform. Leave empty to check the default types of the launch and deploy forms.",
        )
    try:
        return parse_target(
            role or "", bucket or "", (types or "").replace(",", " ").split(), sandbox=sandbox
        )
    except InputError as error:
        st.error(messages.card(error), icon=":material/error:")
        return None


def _field(key: str, label: str, placeholder: str, help_text: str) -> str:
    text = st.text_input(label, key=key, bind="query-params", placeholder=placeholder, help=help_text)
    return text or ""
