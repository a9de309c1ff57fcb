"""The session and the URL: slots, parameters, forms, and the keys that several pages share.

`st.session_state` is used nowhere else. Each folder of the pages declares its own slots. The URL holds what a
link should carry: endpoint, comparison, filters. The session holds what belongs to this user in this tab and is not
needed later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import streamlit as st

T = TypeVar("T")


class Slot(Generic[T]):
    """One value of this session. name: its key, unique among slots and widgets."""

    def __init__(self, name: str) -> None:
        self._name = name

    def get(self) -> T | None:
        """Return the value; None if none was set."""
        value: T | None = st.session_state.get(self._name)
        return value

    def set(self, value: T) -> None:
        """Keep this value from now on."""
        st.session_state[self._name] = value

    def pop(self) -> T | None:
        """Remove the value and return it; None if none was set."""
        value: T | None = st.session_state.pop(self._name, None)
        return value

    def clear(self) -> None:
        """Remove the value, if there is one."""
        self.pop()

    def setdefault(self, make: Callable[[], T]) -> T:
        """Return the value; if none was set, make one and keep it."""
        if self._name not in st.session_state:
            st.session_state[self._name] = make()
        value: T = st.session_state[self._name]
        return value


class UrlParam:
    """One text parameter of the URL. name: its name in the URL."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get(self) -> str:
        """Return the text; empty if the URL has none."""
        return str(st.query_params.get(self.name, ""))

    def set(self, text: str) -> None:
        """Write the text into the URL; an empty text removes the parameter."""
        set_query({self.name: text})


ENDPOINT = "endpoint"
"""The name in the URL of the endpoint that a page is about, and the key of the endpoint picker."""

JOB = "job"
"""The URL parameter that names the training job of a page."""

_INTERVALS = "_intervals"

_RETRY = "_retry"


def request_retry() -> None:
    """Request that the next run restarts the sandbox if it is down, and reads everything again."""
    st.session_state[_RETRY] = True


def take_retry() -> bool:
    """Return whether that was requested, and clear the request."""
    return bool(st.session_state.pop(_RETRY, False))


def refresh_interval(name: str) -> float | None:
    """Return the seconds until this part of a page reads pending or failed values again, if there are any."""
    intervals: dict[str, float | None] = st.session_state.get(_INTERVALS, {})
    return intervals.get(name)


def set_refresh_interval(name: str, seconds: float | None) -> None:
    """Keep this interval for the next run of the page."""
    st.session_state.setdefault(_INTERVALS, {})[name] = seconds


def let_clicks_through() -> None:
    """End this run of the page if the user has requested another one meanwhile, as each drawn element does."""
    st.session_state.get(_INTERVALS)  # Streamlit checks for that whenever the session is read


def choose(key: str, value: object) -> None:
    """Set a widget's value before it is drawn."""
    st.session_state[key] = value


def query(names: Iterable[str]) -> dict[str, str]:
    """Return the URL parameters with these names."""
    return {name: st.query_params[name] for name in names if name in st.query_params}


def set_query(values: Mapping[str, str]) -> None:
    """Write URL parameters; an empty text removes one."""
    for name, text in values.items():
        if text:
            st.query_params[name] = text
        elif name in st.query_params:
            del st.query_params[name]


_PAGE: Slot[str] = Slot("_page")
_LEFT: Slot[dict[str, tuple[dict[str, str], dict[str, str]]]] = Slot("_left")
"""Page -> the URL parameters that it was left with, and those of the page that was opened from it."""


def enter_page(name: str) -> None:
    """Note the page that runs, and repair its URL after the browser's Back button.

    To open a page, Streamlit 1.67 first writes its parameters behind the address of the current page, as an entry of
    the history of its own, and then the address. So Back leads to the former page with the parameters of the other
    one. These are replaced with those that the page was left with.
    """
    _PAGE.set(name)
    left, opened = (_LEFT.get() or {}).get(name, ({}, {}))
    if opened and left != opened and st.query_params.to_dict() == opened:
        st.query_params.from_dict(left)


def current_page() -> str | None:
    """Return the name of the page that runs; in a callback, of the page that was clicked on. None outside of any."""
    return _PAGE.get()


def note_leaving(opened: Mapping[str, str | list[str]]) -> None:
    """Note with which URL parameters the current page is left. opened: those of the page that is opened."""
    if page := _PAGE.get():
        last = {
            name: value if isinstance(value, str) else value[-1] for name, value in opened.items() if value
        }
        _LEFT.set({**(_LEFT.get() or {}), page: (st.query_params.to_dict(), last)})


def chosen(key: str) -> Any:
    """Return the value of a widget; None if it was not drawn yet."""
    return st.session_state.get(key)


ARTIFACT, MODEL = "artifact", "model"
"""URL parameters of the deploy page: what to deploy, in addition to `job`."""

CLONE, CONTINUE = "clone", "continue"
"""URL parameters of the launch page: the job that a new one is based on."""

_TOLD = "_told"


def job_in_url() -> str:
    """Return the training job that the URL names; empty if it names none."""
    return str(st.query_params.get(JOB, "")).strip()


def notify(text: str) -> None:
    """Keep a notification for the next page."""
    st.session_state[_TOLD] = text


def take_notification() -> str:
    """Return the pending notification, and clear it."""
    return str(st.session_state.pop(_TOLD, ""))


class Form:
    """The fields of a form that a page fills in and the user then edits.

    Each time the page itself sets a field, the field gets a new key: with the next click the browser still sends the
    old value, which under the old key would undo the page's change.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._filled, self._changed = f"_{name}_filled", f"_{name}_changed"

    def field(self, name: str) -> str:
        """Return the key of a field."""
        return f"{self._name}-{name}-{self._changes().get(name, 0)}"

    def fill(self, source: str, fields: Mapping[str, Any]) -> None:
        """Set these fields. source: identifies what the values were made from."""
        for name, value in fields.items():
            self.set(name, value)
        st.session_state[self._filled] = source

    def filled_from(self) -> str | None:
        """Return the source it was filled from; None before that."""
        found: str | None = st.session_state.get(self._filled)
        return found

    def fields(self, names: Iterable[str]) -> dict[str, Any]:
        """Return the values of these fields; None for an unset one."""
        return {name: st.session_state.get(self.field(name)) for name in names}

    def get(self, name: str) -> Any:
        """Return the value of one field; None if unset."""
        return st.session_state.get(self.field(name))

    def set(self, name: str, value: Any) -> None:
        """Set one field; only before it is drawn, as in a button's callback."""
        key = self.field(name)
        if key in st.session_state and st.session_state[key] == value:
            return
        self.renew(name)
        st.session_state[self.field(name)] = value

    def renew(self, name: str) -> None:
        """Clear a field that only its widget can set."""
        self._changes()[name] = self._changes().get(name, 0) + 1

    def forget(self) -> None:
        """Fill the form again the next time."""
        st.session_state.pop(self._filled, None)

    def _changes(self) -> dict[str, int]:
        """Return field -> how often the page has set it."""
        found: dict[str, int] = st.session_state.setdefault(self._changed, {})
        return found


def ticked_rows(key: str) -> list[int]:
    """Return the positions of the rows that are selected in a table."""
    table = st.session_state.get(key)
    return list(table["selection"]["rows"]) if table else []


def clicked_row(key: str) -> int | None:
    """Return the row whose button was just clicked; None if none was."""
    click = st.session_state.get(key)
    return None if click is None else int(click["row"])


def component_value(component: str, trigger: str) -> object:
    """Return the value a component has just sent with a trigger; None if it sent none. Cleared after this run."""
    return st.session_state[component].get(trigger)


DATA, DATA_CLASSES, DATA_SAMPLES = "data", "num_classes", "num_training_samples"
"""URL parameters of the launch page: the S3 prefix of a dataset, and two hyperparameters that follow from it."""


def endpoint_in_url() -> str:
    """Return the endpoint that the URL of its page names; empty if it names none."""
    return str(st.query_params.get(ENDPOINT, "")).strip()
