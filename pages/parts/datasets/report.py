"""The validation report: metrics, issues by type and by file, label maps, and the class breakdown."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.datasets.problems import DataProblem
from core.datasets.report import LayoutReport
from core.datasets.source import SPLITS, TRAIN, VALIDATION
from core.imaging.classes import IGNORE
from pages.parts import elements, messages

MAX_ROWS = 1000
"""Issues listed by file; the command line lists all of them."""

MAX_UNSCROLLED = 30
"""Classes up to which the table shows all rows without scrolling."""

SEVERITY = {"error": "red", "warning": "orange", "note": "gray"}


def show(report: LayoutReport) -> None:
    """Draw the metrics row, then the issues, then the label maps and the class breakdown."""
    _metrics_row(report)
    if report.problems:
        _problems(report.problems)
    else:
        st.success("**No issues found.**", icon=":material/check_circle:")
    for split, table in report.label_tables.items():
        _label_map(split, table)
    if report.histogram:
        _class_breakdown(report)


def _metrics_row(report: LayoutReport) -> None:
    errors = sum(problem.is_error for problem in report.problems)
    sizes = [f"{width} × {height}" for (width, height), _ in report.sizes]
    with st.grid(5, min_column_width=150):
        st.metric("Training pairs", f"{report.counts.get(TRAIN, 0):,}", border=True)
        st.metric("Validation pairs", f"{report.counts.get(VALIDATION, 0):,}", border=True)
        st.metric("Classes", len(report.classes) if report.classes else "unknown", border=True)
        st.metric("Errors", f"{errors:,}", border=True)
        st.metric(
            "Image size",
            sizes[0] if len(sizes) == 1 else f"{len(sizes)} sizes" if sizes else "unknown",
            border=True,
        )
    all_sizes = (
        f" · sizes: {', '.join(sizes[:6])}{' ...' if len(sizes) > 6 else ''}" if len(sizes) > 1 else ""
    )
    st.caption(f"{report.kind} · {messages.plain(report.root)}{all_sizes}")


def _problems(problems: tuple[DataProblem, ...]) -> None:
    st.header("Issues")
    by_code: dict[str, list[DataProblem]] = {}
    for problem in problems:
        by_code.setdefault(problem.code, []).append(problem)
    rows = [
        {
            "severity": [same_code[0].severity],
            "problem": code,
            "count": len(same_code),
            "first": same_code[0].path,
            "todo": same_code[0].todo,
        }
        for code, same_code in by_code.items()
    ]
    column = st.column_config
    columns = {
        "severity": column.MultiselectColumn(
            "Severity", options=list(SEVERITY), color=list(SEVERITY.values()), width=90
        ),
        "problem": column.TextColumn("Issue", width=170),
        "count": column.NumberColumn("Count", format="localized", width=70),
        "first": column.TextColumn("First file", width=240),
        "todo": column.TextColumn("What to do"),
    }
    elements.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns, alt="Issues by type")
    with st.expander(f"Issues by file ({len(problems):,})", icon=":material/list:"):
        shown = [
            {"file": problem.path, "problem": problem.code, "what": problem.message, "todo": problem.todo}
            for problem in problems[:MAX_ROWS]
        ]
        columns = {
            "file": column.TextColumn("File", width=240),
            "problem": column.TextColumn("Issue", width=170),
            "what": column.TextColumn("Details"),
            "todo": column.TextColumn("What to do"),
        }
        elements.dataframe(pd.DataFrame(shown), hide_index=True, column_config=columns, alt="Issues by file")
        if len(problems) > MAX_ROWS:
            st.caption(
                f"Showing the first {MAX_ROWS:,}. `segdeck dataset check DIR --json` has all {len(problems):,}."
            )


def _label_map(split: str, table: object) -> None:
    st.header(f"Label map of {split}")
    st.caption("Check this mapping: label maps are often reversed by mistake.")
    rows = pd.DataFrame(dict(table).items(), columns=["Pixel value", "Label"])  # type: ignore[call-overload]
    elements.dataframe(rows, hide_index=True, width=240, alt=f"Label map of {split}")


def _class_breakdown(report: LayoutReport) -> None:
    st.header("Class breakdown")
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
        "color": column.TextColumn("Color", width=60, pinned=True),
        "id": column.NumberColumn("ID", width=50),
        "name": column.TextColumn("Class", width=150),
    }
    for split in SPLITS:
        columns |= {
            f"{split} images": column.NumberColumn(f"Images ({split})", format="localized", width=120),
            f"{split} pixels": column.ProgressColumn(
                f"Pixels ({split})", format="%.1f%%", min_value=0, max_value=100, width=130
            ),
        }
    colors = [_color(report, row.class_id) for row in report.histogram]
    styled = table.style.apply(lambda _: colors, subset=["color"])
    elements.dataframe(
        styled,
        hide_index=True,
        column_config=columns,
        height="content" if len(table) <= MAX_UNSCROLLED else "auto",
        alt="Class breakdown",
    )


def _color(report: LayoutReport, class_id: int) -> str:
    if report.classes is None or (class_id >= len(report.classes) and class_id != IGNORE):
        return ""
    return "background-color: #{:02x}{:02x}{:02x}".format(*report.classes.table()[class_id])
