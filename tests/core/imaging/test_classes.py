"""Class names and colors of a model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.imaging.classes import IGNORE, MAX_CLASSES, VOC, Classes, voc_colors

COLORS = st.tuples(*[st.integers(0, 255)] * 3)
ROWS = st.lists(st.tuples(st.text(), COLORS), min_size=1, max_size=MAX_CLASSES)


@given(ROWS)
def test_classes_survive_their_json(rows: list[tuple[str, tuple[int, int, int]]]) -> None:
    """Any names and colors are the same after writing and reading `classes.json`."""
    classes = Classes(tuple(name for name, _ in rows), tuple(color for _, color in rows))
    assert Classes.from_json(classes.to_json()) == classes


def test_the_json_is_what_a_person_would_write() -> None:
    """The file has a list of names and hex colors, in the order of the ids."""
    text = Classes(("grass", "Straße"), ((142, 190, 96), (0, 0, 255))).to_json()
    assert json.loads(text) == {
        "classes": [{"name": "grass", "color": "#8ebe60"}, {"name": "Straße", "color": "#0000ff"}]
    }
    assert "Straße" in text


def test_a_missing_color_is_vocs() -> None:
    """A class without a color gets VOC's color of its id."""
    classes = Classes.from_json('{"classes": [{"name": "a", "color": "#010203"}, {"name": "b"}]}')
    assert classes.colors == ((1, 2, 3), (128, 0, 0))


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "null", "3", '{"classes": 3}', '{"classes": []}', '{"classes": [3]}', '{"classes": [{}]}',
        '{"classes": [{"name": 3}]}', '{"classes": [{"name": "a", "color": "red"}]}',
        '{"classes": [{"name": "a", "color": "#12345"}]}', '{"classes": [{"name": "a", "color": 7}]}',
        '{"classes": [["a"]]}', b"\xff\xfe\xfa",
    ],
)  # fmt: skip
def test_an_invalid_file_is_an_input_error(text: str | bytes) -> None:
    """A file that is not a list of names is an InputError that says what to do."""
    with pytest.raises(InputError) as caught:
        Classes.from_json(text)
    assert caught.value.todo


def test_there_are_1_to_254_classes() -> None:
    """1 to 254 classes are accepted; 0 and 255 are refused."""
    assert len(Classes.numbered(254)) == 254
    for count in (0, 255):
        with pytest.raises(InputError, match=str(count)):
            Classes.numbered(count)


def test_names_and_colors_come_in_pairs() -> None:
    """The number of colors must be that of names."""
    with pytest.raises(InputError, match="2 class names and 1 colors"):
        Classes(("a", "b"), ((0, 0, 0),))


def test_every_id_has_a_name() -> None:
    """Id 255 is `ignore`; an id beyond the list is numbered."""
    assert (VOC.name(0), VOC.name(20), VOC.name(21), VOC.name(IGNORE)) == (
        "background", "tvmonitor", "class 21", "ignore",
    )  # fmt: skip


def test_the_table_holds_a_color_for_every_id() -> None:
    """The table has the model's colors first, then VOC's, and 255 is off-white."""
    table = Classes(("a",), ((9, 8, 7),)).table()
    assert (table.shape, table.dtype) == ((256, 3), np.uint8)
    assert table[[0, 1, 255]].tolist() == [[9, 8, 7], [128, 0, 0], [224, 224, 192]]


def test_vocs_colors_are_vocs() -> None:
    """The first colors are those printed in the VOC development kit."""
    assert voc_colors(8).tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128], [0, 128, 128],
        [128, 128, 128],
    ]  # fmt: skip
    assert voc_colors(16)[15].tolist() == [192, 128, 128]
    assert len(np.unique(voc_colors(256), axis=0)) == 256


@pytest.mark.parametrize("count", [2, 20, 21])
def test_classes_without_names_are_numbered(count: int) -> None:
    """Classes without names are numbered, also 21 of them, which need not be those of Pascal VOC."""
    classes = Classes.numbered(count)
    assert (len(classes), classes.name(0), classes.name(15)[:5]) == (count, "class 0", "class")
    assert (classes.table() == voc_colors(256)).all()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"classes": ' + "[" * 3000 + "]" * 3000 + "}", "nested too deeply"),
        (r'{"classes": [{"name": "half \ud83d"}]}', "half a character"),
        ('{"classes": [{"name": "a", "color": ' + "9" * 5000 + "}]}", "not valid JSON"),
        ('{"classes": ' + "1" * 400 + "}", "different structure"),
        ('{"names": []}', "'classes' is missing"),
        ('{"classes": [' + ",".join(['{"name": "a"}'] * 255) + "]}", "255 names"),
    ],
)
def test_a_hostile_class_names_file_is_refused(text: str, why: str) -> None:
    """Deep nesting, unpaired surrogates, long numbers, other structures and too many names are each refused."""
    with pytest.raises(InputError, match=why) as caught:
        Classes.from_json(text.encode())
    assert caught.value.todo
