"""Photographs in, masks beside them."""

from __future__ import annotations

import streamlit as st

from core.aws.connection import Connection
from core.export import unique_stems
from pages.parts import progress, results, serving, state, uploads, upstream
from pages.parts.serving import Choice
from pages.parts.work import Picture, Request, Work


def main() -> None:
    """Address, read, show: the drop zone is drawn before anything is asked, so that no error can empty it."""
    connection = upstream.connection()
    st.title("Segment photographs")
    choices = st.container()
    dropped = uploads.from_files(upstream.settings())
    with choices:
        choice = serving.choose(connection)
    if choice is None:
        return
    clicked = uploads.from_examples(connection, choice.serving, open_at_first=not dropped)
    pictures = list({picture.id: picture for picture in [*dropped, *clicked]}.values())
    state.show_newest([picture.id for picture in pictures])
    works = _ask(connection, choice, pictures)
    if works:
        _show(works)


def _ask(connection: Connection, choice: Choice, pictures: list[Picture]) -> list[Work]:
    """Every picture's work, started where it is new."""
    bench = state.bench()
    works = [
        bench.ask(
            picture,
            Request(picture.id, connection, choice.serving.name, choice.want, choice.fit),
            choice.serving.classes,
        )
        for picture in pictures
    ]
    bench.keep_to(works)
    return works


def _show(works: list[Work]) -> None:
    stems = unique_stems([work.picture.name for work in works])
    lines = st.container()
    chosen = results.selected(works)
    if len(works) > 1:
        results.strip(works, chosen)
    results.show(chosen, stems[works.index(chosen)])
    results.download_all(works, stems)
    with lines:
        progress.show(works)


main()
