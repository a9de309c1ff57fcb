"""Every key of the session and of the URL. `st.session_state` is used nowhere else.

In the URL, because a link should carry them: `endpoint`, `answer`, `size`; what an endpoint is judged on, and against
which other; which training jobs are listed (the keys of `core.training.filters`) and which are compared. In the
session: what belongs to this person in this tab and nobody needs tomorrow.
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


ENDPOINT, ANSWER, SIZE = "endpoint", "answer", "size"
"""Keys of widgets that are bound to the URL under the same name."""

UPLOADS, CAMERA, CAMERA_ON = "uploads", "camera", "camera_on"
"""Keys of the widgets that pictures come in by."""

JOB, COMPARE = "job", "compare"
"""Names in the URL: the training job that is looked at, and those that are compared."""

_INTERVALS = "_intervals"

_RETRY, _EXAMPLES, _SHOWN, _DIGESTS, _SEEN, _JOB_PAGES, _JOBS_VIEW, _LINKED = (
    "_retry",
    "_examples",
    "_shown",
    "_digests",
    "_seen",
    "_job_pages",
    "_jobs_view",
    "_linked",
)


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


def endpoint_asked_for() -> str:
    """The endpoint that a new link names, else the one that was chosen; empty where neither is so."""
    linked, chosen = str(st.query_params.get(ENDPOINT, "")), str(st.session_state.get(ENDPOINT) or "")
    return linked if linked and linked != st.session_state.get(_LINKED) else chosen or linked


def remember_endpoint(name: str) -> None:
    """Keep the choice in the URL, so that a copied link shows the same."""
    st.session_state[_LINKED] = name
    if st.query_params.get(ENDPOINT) != name:
        st.query_params[ENDPOINT] = name


def choose(key: str, value: object) -> None:
    """Set a widget's value before it is drawn."""
    st.session_state[key] = value


def examples() -> list[str]:
    """S3 addresses of the examples that were clicked, in that order."""
    found: list[str] = st.session_state.setdefault(_EXAMPLES, [])
    return found


def add_example(uri: str) -> None:
    """A click on an example: it joins the pictures, and is the one shown."""
    if uri not in examples():
        examples().append(uri)
    show(uri)


def clear_examples() -> None:
    """Take all examples away again."""
    examples().clear()


def has_pictures() -> bool:
    """Whether there is anything to look at, as of the last run and the click since."""
    return bool(st.session_state.get(UPLOADS) or st.session_state.get(CAMERA) or examples())


def show(picture: str) -> None:
    """Show this picture from now on."""
    st.session_state[_SHOWN] = picture


def shown() -> str:
    """The picture that was last asked for; empty where none was."""
    return str(st.session_state.get(_SHOWN, ""))


def show_newest(pictures: list[str]) -> None:
    """Show the first of those that were not there at the last run."""
    before: list[str] = st.session_state.get(_SEEN, [])
    new = [picture for picture in pictures if picture not in before]
    if new and shown() not in new:
        show(new[0])
    st.session_state[_SEEN] = pictures


def digests() -> dict[str, str]:
    """Upload id -> id of the content: a file is read once, not at every run."""
    found: dict[str, str] = st.session_state.setdefault(_DIGESTS, {})
    return found


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


def compared_jobs() -> tuple[str, ...]:
    """The training jobs that are laid side by side, as the address has them."""
    return tuple(filter(None, st.query_params.get(COMPARE, "").split(",")))


def compare_jobs(names: Iterable[str]) -> None:
    """Lay these side by side from now on."""
    set_query({COMPARE: ",".join(names)})


def job_pages() -> int:
    """How many pages of training jobs to show."""
    return int(st.session_state.get(_JOB_PAGES, 1))


def show_job_pages(pages: int) -> None:
    """Show so many pages of training jobs from now on."""
    st.session_state[_JOB_PAGES] = pages


def keep_jobs_view(names: Iterable[str]) -> None:
    """Note how the list of training jobs is looked at: leaving it for a job must not lose that."""
    st.session_state[_JOBS_VIEW] = query([*names, COMPARE])


def jobs_view() -> dict[str, str]:
    """The names and values of the address that the list of training jobs was last seen under."""
    found: dict[str, str] = st.session_state.get(_JOBS_VIEW, {})
    return found


ARTIFACT, MODEL = "artifact", "model"
"""Names in the URL of the deploy page: what to serve, besides `job`."""

CLONE, CONTINUE = "clone", "continue"
"""Names in the URL of the launch page: the job that a new one is made from."""

JOB_TAB, LOG_TEXT, LOG_LEVELS = "tab", "find", "levels"
"""Keys of a job page's widgets that are bound to the URL under the same name."""

_TOLD, _LOG_AT = "_told", "_log_at"


def job_asked_for() -> str:
    """The training job that the link names; empty where it names none."""
    return str(st.query_params.get(JOB, "")).strip()


def tell(text: str) -> None:
    """Say this once, on the page that comes next."""
    st.session_state[_TOLD] = text


def take_told() -> str:
    """What is to be said; once taken, it is gone."""
    return str(st.session_state.pop(_TOLD, ""))


def show_log_at(place: int | None) -> None:
    """Show a job's log around this line from now on; None: its end."""
    st.session_state[_LOG_AT] = place


def log_at() -> int | None:
    """The line to show a job's log around; None: its end."""
    found: int | None = st.session_state.get(_LOG_AT)
    return found


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


LAUNCH, DEPLOY = Form("launch"), Form("deploy")
"""The forms that start a training job, and an endpoint."""


def ticked_rows(key: str) -> list[int]:
    """The places of the rows that are ticked in a table."""
    table = st.session_state.get(key)
    return list(table["selection"]["rows"]) if table else []


def clicked_row(key: str) -> int | None:
    """The row whose button was clicked just now; None where none was."""
    click = st.session_state.get(key)
    return None if click is None else int(click["row"])


AGAINST, LABELLED, PART, FOLDER, S3_PHOTOS, S3_MASKS = (
    "against",
    "labelled",
    "part",
    "folder",
    "photos",
    "masks",
)
"""Keys of the evaluation's widgets that are bound to the URL under the same name."""

LABELLED_FILES, MASK_SHOWN, MASK_OF, TRUTH_SHOWN = "labelled_files", "mask_shown", "mask_of", "truth_shown"
"""Keys of its other widgets."""

_JUDGED_SHOWN, _JUDGED_MORE, _CELL, _CELLS = (
    "_judged_shown",
    "_judged_more",
    "_cell",
    "_cells",
)


def label_from_s3(photos: str, masks: str) -> None:
    """Judge by the photos and masks below these S3 prefixes; in a callback."""
    st.session_state[LABELLED] = "s3"
    st.session_state[S3_PHOTOS], st.session_state[S3_MASKS] = photos, masks


def judged_shown() -> str:
    """The name of the judged photo that is looked at; empty: the first."""
    return str(st.session_state.get(_JUDGED_SHOWN, ""))


def show_judged(name: str) -> None:
    """Look at this one from now on."""
    st.session_state[_JUDGED_SHOWN] = name


def judged_rows() -> int:
    """How many times as many photos the gallery holds as at first."""
    return int(st.session_state.get(_JUDGED_MORE, 1))


def more_judged() -> None:
    """Let the gallery hold more."""
    st.session_state[_JUDGED_MORE] = judged_rows() + 1


def cell_key() -> str:
    """The key of the confusion's chart: another one each time that a cell is chosen elsewhere, or none any more."""
    return f"confusion-{st.session_state.get(_CELLS, 0)}"


def cell() -> tuple[str, str] | None:
    """The cell of the confusion that was chosen: true and predicted class; None where none is."""
    found: tuple[str, str] | None = st.session_state.get(_CELL)
    return found


def take_cell() -> None:
    """Choose the cell that was just clicked in the chart; a click beside all of them chooses none."""
    chart = st.session_state.get(cell_key()) or {}
    points = chart.get("selection", {}).get("cell") or []
    found = (str(points[0]["truth"]), str(points[0]["predicted"])) if points else None
    st.session_state[_CELL] = found
    st.session_state[_JUDGED_SHOWN] = ""


def choose_cell(found: tuple[str, str] | None) -> None:
    """Choose a cell, or none."""
    st.session_state[_CELL] = found
    st.session_state[_CELLS] = st.session_state.get(_CELLS, 0) + 1
    st.session_state[_JUDGED_MORE] = 1
    st.session_state[_JUDGED_SHOWN] = ""


def said(component: str, trigger: str) -> object:
    """What a component of ours has just told the page, by its key; None when it told nothing. Gone after this run."""
    return st.session_state[component].get(trigger)


DATA, DATA_CLASSES, DATA_SAMPLES = "data", "num_classes", "num_training_samples"
"""Names in the URL of the launch page: the S3 prefix of a data set, and two hyperparameters that it brings along."""

DATASET, DATASET_ZIP = "dataset", "dataset_zip"
"""Keys of the data set page's own inputs; the first is bound to the URL under the same name."""

WINDOW, ENDPOINT_TAB = "window", "part"
"""Keys of widgets of an endpoint's page that are bound to the URL under the same name."""

_TICKED, _TICKS, _TRIED, _ENDPOINTS_VIEW = "_ticked_endpoints", "_endpoint_ticks", "_tried", "_endpoints_view"


def keep_endpoints_view(view: Mapping[str, str]) -> None:
    """Note the filters of the list of endpoints: leaving it for an endpoint must not lose them."""
    st.session_state[_ENDPOINTS_VIEW] = dict(view)


def endpoints_view() -> dict[str, str]:
    """The filters that the list of endpoints was last seen with."""
    found: dict[str, str] = st.session_state.get(_ENDPOINTS_VIEW, {})
    return found


def endpoint_looked_at() -> str:
    """The endpoint that the link to its page names; empty where it names none."""
    return str(st.query_params.get(ENDPOINT, "")).strip()


def ticked_endpoints() -> tuple[str, ...]:
    """The endpoints that are ticked in their list."""
    found: tuple[str, ...] = st.session_state.get(_TICKED, ())
    return found


def keep_ticks(names: Iterable[str]) -> None:
    """Note what a person has ticked."""
    st.session_state[_TICKED] = tuple(names)


def tick_endpoints(names: Iterable[str]) -> None:
    """Tick these, and no others: the table is then another one, see `endpoint_ticks`."""
    keep_ticks(names)
    st.session_state[_TICKS] = endpoint_ticks() + 1


def endpoint_ticks() -> int:
    """How often ticks were set by anything but a click into the table."""
    return int(st.session_state.get(_TICKS, 0))


def tried(endpoint: str) -> str:
    """The picture that this endpoint was last tried with; empty where it was not."""
    return str(st.session_state.get(_TRIED, {}).get(endpoint, ""))


def try_picture(endpoint: str, picture: str) -> None:
    """Try the endpoint with this picture."""
    st.session_state[_TRIED] = {endpoint: picture}
