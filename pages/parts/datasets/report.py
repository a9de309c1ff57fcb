"""What a check found: figures, problems by kind and by file, how often each class occurs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.datasets.problems import DataProblem
from core.datasets.report import LayoutReport
from core.datasets.source import SPLITS, TRAIN, VALIDATION
from core.imaging.classes import IGNORE
from pages.parts import elements, messages

MOST_ROWS = 1000
"""Problems shown one by one; the command line has them all."""

WHOLE = 30
"""Up to so many classes the table is as high as it is long."""

SEVERITY = {"error": "red", "warning": "orange", "note": "gray"}


def show(report: LayoutReport) -> None:
    """Figures first, then what is wrong, then what is in it."""
    _figures(report)
    if report.problems:
        _problems(report.problems)
    else:
        st.success("**Nothing is wrong with it.**", icon=":material/check_circle:")
    for split, table in report.label_tables.items():
        _label_map(split, table)
    if report.histogram:
        _histogram(report)


def _figures(report: LayoutReport) -> None:
    errors = sum(one.is_error for one in report.problems)
    sizes = [f"{width} × {height}" for (width, height), _ in report.sizes]
    with st.grid(5, min_column_width=150):
        st.metric("Training pairs", f"{report.counts.get(TRAIN, 0):,}", border=True)
        st.metric("Validation pairs", f"{report.counts.get(VALIDATION, 0):,}", border=True)
        st.metric("Classes", len(report.classes) if report.classes else "unknown", border=True)
        st.metric("Errors", f"{errors:,}", border=True)
        st.metric(
            "Sizes",
            sizes[0] if len(sizes) == 1 else f"{len(sizes)} kinds" if sizes else "unknown",
            border=True,
        )
    more = f" · sizes: {', '.join(sizes[:6])}{' ...' if len(sizes) > 6 else ''}" if len(sizes) > 1 else ""
    st.caption(f"{report.kind} · {messages.plain(report.root)}{more}")


def _problems(problems: tuple[DataProblem, ...]) -> None:
    st.subheader("Problems")
    by_code: dict[str, list[DataProblem]] = {}
    for one in problems:
        by_code.setdefault(one.code, []).append(one)
    rows = [
        {
            "severity": [found[0].severity],
            "problem": code,
            "count": len(found),
            "first": found[0].path,
            "todo": found[0].todo,
        }
        for code, found in by_code.items()
    ]
    column = st.column_config
    columns = {
        "severity": column.MultiselectColumn(
            "Severity", options=list(SEVERITY), color=list(SEVERITY.values()), width=90
        ),
        "problem": column.TextColumn("Problem", width=170),
        "count": column.NumberColumn("Count", format="localized", width=70),
        "first": column.TextColumn("First file", width=240),
        "todo": column.TextColumn("What to do"),
    }
    elements.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns, alt="Problems by kind")
    with st.expander(f"Every problem, file by file ({len(problems):,})", icon=":material/list:"):
        shown = [
            {"file": one.path, "problem": one.code, "what": one.message, "todo": one.todo}
            for one in problems[:MOST_ROWS]
        ]
        elements.dataframe(pd.DataFrame(shown), hide_index=True, alt="Problems by file")
        if len(problems) > MOST_ROWS:
            st.caption(
                f"The first {MOST_ROWS:,}. `segdeck dataset check DIR --json` has all {len(problems):,}."
            )


def _label_map(split: str, table: object) -> None:
    st.subheader(f"Label map of {split}")
    st.caption("The table that it makes: check it, as a label map is easily written backwards.")
    rows = pd.DataFrame(dict(table).items(), columns=["Pixel value", "Label"])  # type: ignore[call-overload]
    elements.dataframe(rows, hide_index=True, width=240, alt=f"Label map of {split}")


def _histogram(report: LayoutReport) -> None:
    st.subheader("Classes")
    totals = {split: sum(row.pixels[split] for row in report.histogram) or 1 for split in SPLITS}
    table = pd.DataFrame(
        {
            "color": ["" for _ in report.histogram],
            "id": [row.class_id for row in report.histogram],
            "name": [row.name for row in report.histogram],
            **{f"{split} images": [row.images[split] for row in report.histogram] for split in SPLITS},
            **{
                f"{split} pixels": [100 * row.pixels[split] / totals[split] for row in report.histogram]
                for split in SPLITS
            },
        }
    )
    column = st.column_config
    columns = {
        "color": column.TextColumn("", width=24, pinned=True),
        "id": column.NumberColumn("Id", width=50),
        "name": column.TextColumn("Class", width=150),
    }
    for split in SPLITS:
        columns |= {
            f"{split} images": column.NumberColumn(f"Images, {split}", format="localized", width=120),
            f"{split} pixels": column.ProgressColumn(
                f"Pixels, {split}", format="%.1f%%", min_value=0, max_value=100, width=130
            ),
        }
    colors = [_color(report, row.class_id) for row in report.histogram]
    painted = table.style.apply(lambda _: colors, subset=["color"])
    elements.dataframe(
        painted,
        hide_index=True,
        column_config=columns,
        height="content" if len(table) <= WHOLE else "auto",
        alt="How often each class occurs",
    )


def _color(report: LayoutReport, class_id: int) -> str:
    if report.classes is None or (class_id >= len(report.classes) and class_id != IGNORE):
        return ""
    return "background-color: #{:02x}{:02x}{:02x}".format(*report.classes.table()[class_id])
