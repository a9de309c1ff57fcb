"""Tables and code blocks, the Streamlit elements that show untrusted text without Markdown; and style rules.

Tables and code go through `core.escaping`; nothing else on a page calls `st.dataframe` or `st.code`. A table needs it
because its toolbar exports the cells as CSV, unescaped, and a code block because bidirectional controls take effect
there.

Code is drawn without syntax highlighting: Streamlit's colors for it have a contrast of 2.6:1, and no setting changes
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from core.escaping import csv_cell, terminal, terminal_block

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, eq=False)
class PreparedTable:
    """A table whose texts are escaped and that is encoded, so that drawing it again costs next to nothing."""

    arrow: pa.Table


def prepared(data: pd.DataFrame) -> PreparedTable:
    """Return the table, escaped as by `dataframe` and encoded as Arrow, for many draws of the same rows."""
    import pyarrow as pa  # noqa: PLC0415  # Streamlit imports it with the first table

    return PreparedTable(pa.Table.from_pandas(guarded(data)))


def dataframe(data: pd.DataFrame | Styler | PreparedTable, **options: Any) -> Any:
    """Draw a table whose cells and headers may hold any text; options and result are those of `st.dataframe`."""
    return st.dataframe(data.arrow if isinstance(data, PreparedTable) else guarded(data), **options)


def code(text: str, **options: Any) -> None:
    """Draw one line of code, such as a URI to copy."""
    st.code(terminal(text), **options)


def code_block(text: str, **options: Any) -> None:
    """Draw several lines of code. The line breaks are Segdeck's own: untrusted text in them is one line each."""
    st.code(terminal_block(text), **options)


def style(css: str) -> None:
    """Add style rules to the page. css: a constant; nothing else may become HTML."""
    st.html(f"<style>{css}</style>")


def guarded(data: pd.DataFrame | Styler) -> pd.DataFrame | Styler:
    """Return the table with each text escaped by `csv_cell`, in lists too; numbers, times and colors stay."""
    if isinstance(data, Styler):
        data.data = guarded(data.data)
        data.index, data.columns = data.data.index, data.data.columns
        return data
    cells = data.apply(lambda column: column.map(_cell) if _holds_text(column) else column)
    return cells.rename(index=_cell, columns=_cell)


def _holds_text(column: pd.Series[Any]) -> bool:
    return bool(pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column))


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return [csv_cell(item) for item in value]
    return csv_cell(value)
