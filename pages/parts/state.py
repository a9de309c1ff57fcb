"""The session and the URL: slots, parameters, forms, and the keys that several pages share.

`st.session_state` is used nowhere else. Each folder of the pages declares its own slots. In the URL is what a link
should carry: the endpoint, what is compared, filters. In the session is what belongs to this person in this tab and
nobody needs tomorrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import streamlit as st

T = TypeVar("T")


class Slot(Generic[T]):
    """One value of this session. name: its key, which no other slot or widget has."""

    def __init__(self, name: str) -> None:
        self._name = name

    def get(self) -> T | None:
        """Return the value; None where none was set."""
        value: T | None = st.session_state.get(self._name)
        return value

    def set(self, value: T) -> None:
        """Keep this value from now on."""
        st.session_state[self._name] = value

    def pop(self) -> T | None:
        """Remove the value and return it; None where none was set."""
        value: T | None = st.session_state.pop(self._name, None)
        return value

    def clear(self) -> None:
        """Remove the value, if there is one."""
        self.pop()

    def setdefault(self, make: Callable[[], T]) -> T:
        """Return the value; where none was set, make one and keep it."""
        if self._name not in st.session_state:
            st.session_state[self._name] = make()
        value: T = st.session_state[self._name]
        return value


class UrlParam:
    """One text in the address of the page. name: as the address has it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get(self) -> str:
        """Return the text; empty where the address has none."""
        return str(st.query_params.get(self.name, ""))

    def set(self, text: str) -> None:
        """Write the text into the address; an empty one removes the name from it."""
        set_query({self.name: text})


ENDPOINT = "endpoint"
"""The name in the URL of the endpoint that a page is about, and the key of the endpoint picker."""

JOB = "job"
"""The name in the URL of the training job that a page is about."""

_INTERVALS = "_intervals"

_RETRY = "_retry"


def ask_retry() -> None:
    """Note that the next run should first bring back what is gone, and read everything anew."""
    st.session_state[_RETRY] = True


def take_retry() -> bool:
    """Whether that was asked; once asked, the note is gone."""
    return bool(st.session_state.pop(_RETRY, False))


def refresh_interval(name: str) -> float | None:
    """Return the seconds after which this part of a page looks again at what is pending or failed, if anything is."""
    intervals: dict[str, float | None] = st.session_state.get(_INTERVALS, {})
    return intervals.get(name)


def set_refresh_interval(name: str, seconds: float | None) -> None:
    """Keep that for the next run of the page."""
    st.session_state.setdefault(_INTERVALS, {})[name] = seconds


def choose(key: str, value: object) -> None:
    """Set a widget's value before it is drawn."""
    st.session_state[key] = value


def query(names: Iterable[str]) -> dict[str, str]:
    """What the address says under these names."""
    return {name: st.query_params[name] for name in names if name in st.query_params}


def set_query(values: Mapping[str, str]) -> None:
    """Write into the address; an empty text takes the name out of it."""
    for name, text in values.items():
        if text:
            st.query_params[name] = text
        elif name in st.query_params:
            del st.query_params[name]


def chosen(key: str) -> Any:
    """What a widget holds; None where it was not drawn yet."""
    return st.session_state.get(key)


ARTIFACT, MODEL = "artifact", "model"
"""Names in the URL of the deploy page: what to serve, besides `job`."""

CLONE, CONTINUE = "clone", "continue"
"""Names in the URL of the launch page: the job that a new one is made from."""

_TOLD = "_told"


def job_asked_for() -> str:
    """The training job that the link names; empty where it names none."""
    return str(st.query_params.get(JOB, "")).strip()


def tell(text: str) -> None:
    """Say this once, on the page that comes next."""
    st.session_state[_TOLD] = text


def take_told() -> str:
    """What is to be said; once taken, it is gone."""
    return str(st.session_state.pop(_TOLD, ""))


class Form:
    """The fields of a form that a page fills in, and its visitor then changes.

    Each value that the page itself puts into a field gives it a new key: with the next click the browser still sends
    what it showed before, and under the old key that would undo the page's change.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._filled, self._changed = f"_{name}_filled", f"_{name}_changed"

    def field(self, name: str) -> str:
        """The key of a field."""
        return f"{self._name}-{name}-{self._changes().get(name, 0)}"

    def fill(self, source: str, fields: Mapping[str, Any]) -> None:
        """Put these values in. source: what they were made from."""
        for name, value in fields.items():
            self.set(name, value)
        st.session_state[self._filled] = source

    def filled_from(self) -> str | None:
        """What it was filled from; None before it was."""
        found: str | None = st.session_state.get(self._filled)
        return found

    def fields(self, names: Iterable[str]) -> dict[str, Any]:
        """What it holds; None for what it does not."""
        return {name: st.session_state.get(self.field(name)) for name in names}

    def get(self, name: str) -> Any:
        """What one field holds; None where it does not."""
        return st.session_state.get(self.field(name))

    def set(self, name: str, value: Any) -> None:
        """Change one field; only before it is drawn, as in a button's callback."""
        key = self.field(name)
        if key in st.session_state and st.session_state[key] == value:
            return
        self.renew(name)
        st.session_state[self.field(name)] = value

    def renew(self, name: str) -> None:
        """Empty a field that only its widget may fill."""
        self._changes()[name] = self._changes().get(name, 0) + 1

    def forget(self) -> None:
        """Fill it anew the next time."""
        st.session_state.pop(self._filled, None)

    def _changes(self) -> dict[str, int]:
        """Field -> how often the page has changed it."""
        found: dict[str, int] = st.session_state.setdefault(self._changed, {})
        return found


def ticked_rows(key: str) -> list[int]:
    """The places of the rows that are ticked in a table."""
    table = st.session_state.get(key)
    return list(table["selection"]["rows"]) if table else []


def clicked_row(key: str) -> int | None:
    """The row whose button was clicked just now; None where none was."""
    click = st.session_state.get(key)
    return None if click is None else int(click["row"])


def said(component: str, trigger: str) -> object:
    """What a component of ours has just told the page, by its key; None when it told nothing. Gone after this run."""
    return st.session_state[component].get(trigger)


DATA, DATA_CLASSES, DATA_SAMPLES = "data", "num_classes", "num_training_samples"
"""Names in the URL of the launch page: the S3 prefix of a data set, and two hyperparameters that it brings along."""


def endpoint_looked_at() -> str:
    """The endpoint that the link to its page names; empty where it names none."""
    return str(st.query_params.get(ENDPOINT, "")).strip()
