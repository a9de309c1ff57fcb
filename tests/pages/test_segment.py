"""The Segment page: from files to masks, tables and errors."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from sandbox.server import Sandbox
from tests.support.dashboard import fresh_caches


def drop(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    """Put these files into the drop zone."""
    return app.file_uploader[0].set_value([(name, data, "image/jpeg") for name, data in files]).run()


def has_areas(app: AppTest) -> bool:
    return bool(app.dataframe)


def click(app: AppTest, label: str) -> AppTest:
    named = [button for button in app.button if label in button.label]
    return next((button for button in named if button.label == label), named[0]).click().run()


def test_an_uploaded_image(open_page, coast, jpeg, run_until, read_texts):
    """An uploaded image ends in a table of its classes, with names, shares and mean confidence."""
    app = drop(open_page(endpoint=coast), ("bay.jpg", jpeg()))
    run_until(app, has_areas)
    table = app.dataframe[0].value
    assert list(table["name"]) == ["sea", "land"]
    assert list(table["share"]) == [75, 25]
    assert list(table["pixels"]) == [900, 300]
    assert table["confidence"].round(1).tolist() == [90, 70]
    assert "viewer" in [component.key for component in app.get("bidi_component")]
    assert "decode" in read_texts(app)


def test_one_run_of_the_page_shows_the_result(open_page, coast, jpeg, faults, *, run_until, read_texts):
    """The run of the page that sends an image waits for its result and shows it: no other run is needed."""
    faults.add("delay", seconds=0.3, operation="InvokeEndpoint")
    for shade in range(5):  # on a busy machine, a result may take longer than the page waits
        app = open_page(endpoint=coast)
        run_until(app, lambda app: "Classes: sea, land" in read_texts(app))
        drop(app, ("bay.jpg", jpeg(shade=shade)))
        if has_areas(app):
            break
    assert has_areas(app)
    assert not app.status


def test_class_names_before_the_first_image(open_page, coast, jpeg, run_until, read_texts):
    """Before the first image the page lists the model's classes; then the table does."""
    app = open_page(endpoint=coast)
    run_until(app, lambda app: "Classes: sea, land" in read_texts(app))
    run_until(drop(app, ("bay.jpg", jpeg())), has_areas)
    assert "Classes: sea" not in read_texts(app)


def test_many_images_through_the_endpoint_or_as_a_job(open_page, coast, jpeg, run_until, read_texts):
    """Before the first image the page offers both ways for a folder or S3 prefix, each with its price per hour."""
    app = open_page(endpoint=coast)
    (box,) = [each for each in app.expander if each.label == "Segment a folder or S3 prefix"]
    assert box.code[0].value.startswith(f"segdeck segment s3://BUCKET/IMAGES/ --endpoint {coast} --out ")
    assert sum("per hour: \\$" in each.value for each in box.caption) == 2
    (link,) = box.get("page_link")
    assert f"endpoint={coast}" in link.proto.query_string
    run_until(drop(app, ("bay.jpg", jpeg())), has_areas)
    assert "Segment a folder or S3 prefix" not in [each.label for each in app.expander]


def test_a_link_of_an_earlier_version(open_page, coast, jpeg, run_until, read_texts):
    """A link with the earlier name of the original input size still sends images at their original size."""
    app = drop(open_page(endpoint=coast, size="Own size"), ("large.jpg", jpeg(1000, 800)))
    run_until(app, has_areas)
    assert "input 1000 × 800 (not resized)" in read_texts(app)


def test_a_resized_input_is_reported(open_page, coast, jpeg, run_until, read_texts):
    """Where the model's input was resized, the page shows both sizes and how the mask is scaled back.

    An image with four times the pixels, or more, is offered to be segmented in tiles.
    """
    app = drop(open_page(endpoint=coast), ("large.jpg", jpeg(1600, 1200)))
    run_until(app, has_areas)
    texts = read_texts(app)
    assert "Sent with 25.0% of its pixels" in texts
    assert app.code[0].value.startswith(f"segdeck segment large.jpg --tiles --endpoint {coast} --out maps")
    assert "input **800 × 600**, resized from 1600 × 1200" in texts
    assert "nearest-neighbor" in texts
    assert app.dataframe[0].value["pixels"].sum() == 1600 * 1200


def test_changes_to_the_image_are_reported(open_page, coast, run_until, read_texts):
    """Below the mask, the page reports how the image was decoded: here, that it was composited on white."""
    buffer = io.BytesIO()
    Image.new("RGBA", (40, 30), (20, 90, 160, 128)).save(buffer, "PNG")
    app = drop(open_page(endpoint=coast), ("logo.png", buffer.getvalue()))
    run_until(app, has_areas)
    assert "Transparent pixels were composited on white" in read_texts(app)


def test_mask_only(open_page, coast, jpeg, run_until):
    """With output "Mask only", the page shows areas without confidence, and offers no probabilities."""
    app = drop(open_page(endpoint=coast, answer="Mask only"), ("bay.jpg", jpeg()))
    run_until(app, has_areas)
    assert "confidence" not in app.dataframe[0].value
    labels = [button.proto.label for button in app.get("download_button")]
    assert "Mask" in labels
    assert "Probabilities" not in labels


def test_one_broken_file_among_several(open_page, coast, jpeg, run_until, read_texts):
    """A file that is not an image is reported with its name and the reason; the others are segmented all the same."""
    app = drop(
        open_page(endpoint=coast), ("a.jpg", jpeg(shade=10)), ("note_1.jpg", b"no"), ("c.jpg", jpeg(shade=99))
    )
    run_until(app, lambda app: "2 images done" in str([status.label for status in app.status]))
    run_until(app, has_areas)
    assert r"note\_1\.jpg is not an image" in app.error[0].value
    assert "a\\.jpg** · done" in read_texts(app)
    assert "c\\.jpg** · done" in read_texts(app)


def test_a_bad_file_is_removed_where_it_is_reported(open_page, coast, jpeg, run_until, read_texts):
    """One click removes a file that cannot be read, with its error; uploaded again, it is reported again."""
    files = [("a.jpg", jpeg(shade=10)), ("note.jpg", b"no")]
    app = drop(open_page(endpoint=coast), *files)
    run_until(app, lambda app: app.error and has_areas(app))
    click(app, "Remove")
    run_until(app, lambda app: not app.error)
    run_until(app, has_areas)
    drop(app, files[0])
    run_until(drop(app, *files), lambda app: app.error)


def test_byte_identical_copies_are_named(open_page, coast, jpeg, run_until, read_texts):
    """Files with the same content are shown once, and the page says which."""
    app = drop(open_page(endpoint=coast), ("a.jpg", jpeg()), ("b.jpg", jpeg()))
    run_until(app, has_areas)
    assert "b\\.jpg is a byte-identical copy of a\\.jpg, which is shown once" in read_texts(app)


def test_the_first_mask_is_shown_before_the_others(open_page, coast, jpeg, run_until):
    """While the first image fails or is still waiting, the first mask that is there is shown."""
    app = drop(open_page(endpoint=coast), ("broken.jpg", b"no"), ("bay.jpg", jpeg(shade=30)))
    run_until(app, lambda app: app.error and has_areas(app))
    assert not app.status[0].proto.expanded


def test_the_zip_of_many_images(open_page, coast, jpeg, run_until):
    """The ZIP of all images is written in the background, without probabilities unless they are included."""
    app = drop(open_page(endpoint=coast), ("a.jpg", jpeg(shade=40)), ("b.jpg", jpeg(shade=41)))
    run_until(app, lambda app: "get-all" in [button.key for button in app.button])
    click(app, "All 2 images")
    run_until(app, lambda app: zip_of(app) is not None)
    assert len(zip_of(app).items) == 2
    assert not [name for name in names_in(app) if name.endswith(".npz")]
    app.checkbox(key="zip_probabilities").check().run()
    click(app, "All 2 images")
    run_until(app, lambda app: len([name for name in names_in(app) if name.endswith(".npz")]) == 2)


def zip_of(app: AppTest):
    """Return the ZIP that the page has written; None before that."""
    task = app.session_state["segment.zip"] if "segment.zip" in app.session_state else None  # noqa: SIM401 - AppTest has no get
    return task if task is not None and task.task.result is not None else None


def names_in(app: AppTest) -> list[str]:
    """Return the names of the files in it."""
    written = zip_of(app)
    return [] if written is None else zipfile.ZipFile(io.BytesIO(written.task.result)).namelist()


def test_nothing_is_sent_twice(open_page, coast, jpeg, run_until, faults):
    """The same image, endpoint and options are sent once, however often the page runs or the file is uploaded."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    app = drop(open_page(endpoint=coast), ("bay.jpg", jpeg()))
    run_until(app, has_areas)
    drop(app, ("bay again.jpg", jpeg())).run()
    run_until(app, has_areas)
    assert len(faults.hits) == 1


def test_throttled_then_tried_again(open_page, coast, jpeg, run_until, faults):
    """Throttling is reported with what to do; the button sends only what failed, and the message is gone."""
    app = drop(open_page(endpoint=coast), ("first.jpg", jpeg(shade=5)))
    run_until(app, has_areas)
    faults.add("error", operation="InvokeEndpoint", code="ThrottlingException", status=400, times=1)
    app = drop(app, ("first.jpg", jpeg(shade=5)), ("second.jpg", jpeg(shade=6)))
    run_until(app, lambda app: app.error)
    assert "too many calls" in app.error[0].value
    assert "Wait a few seconds" in app.error[0].value
    click(app, "Try again")
    run_until(app, lambda app: "2 images done" in str([status.label for status in app.status]))
    assert not app.error


def test_an_interrupted_response(open_page, coast, jpeg, run_until, faults):
    """A response that stops before its end is reported as such, and can be tried again."""
    faults.add("truncate", operation="InvokeEndpoint", times=1)
    app = drop(open_page(endpoint=coast), ("bay.jpg", jpeg()))
    run_until(app, lambda app: app.error)
    assert "ended early" in app.error[0].value
    click(app, "Try again")
    run_until(app, has_areas)
    assert not app.error


def test_a_lost_reply_may_be_billed(open_page, coast, jpeg, run_until, faults):
    """When the reply is lost, the page says that the model may have run, and sends the image only once."""
    faults.add("lost_reply", operation="InvokeEndpoint", times=1)
    app = drop(open_page(endpoint=coast), ("bay.jpg", jpeg()))
    run_until(app, lambda app: app.error)
    assert "The model may have run, so this call may be billed" in app.error[0].value
    assert len(faults.hits) == 1


def test_unknown_endpoint_in_the_link(open_page, coast):
    """A link to an endpoint that does not exist is reported with its name, and no other is chosen."""
    app = open_page(endpoint="gone-with-the-wind")
    assert r'Endpoint "gone\-with\-the\-wind" not found in' in app.error[0].value
    assert app.selectbox[0].value == "gone-with-the-wind"
    assert coast in app.selectbox[0].options
    app.selectbox[0].set_value(coast).run()
    assert not app.error
    assert app.query_params["endpoint"] == coast


def test_a_new_link_wins_over_an_older_choice(open_page, coast, stub_endpoint):
    """A link to another endpoint opens that one; a later choice is kept, in the URL too."""
    other = stub_endpoint()
    app = open_page(endpoint=coast)
    app.query_params["endpoint"] = other
    app.run()
    assert app.selectbox[0].value == other
    app.selectbox[0].set_value(coast).run().run()
    assert app.selectbox[0].value == coast
    assert app.query_params["endpoint"] == coast


def test_link_to_the_endpoint(open_page, coast):
    """Next to the endpoint's badges is a link to its page."""
    links = {link.proto.label: link.proto.query_string for link in open_page(endpoint=coast).get("page_link")}
    assert links["Endpoint"] == f"endpoint={coast}"


def test_no_endpoint_in_service(open_page, tmp_path: Path, stub_programs):
    """Without any endpoint the page says how to get one, and files can still be uploaded."""
    with Sandbox(tmp_path, programs=stub_programs) as empty:
        app = open_page(environ=empty.address.environ())
        assert "No endpoint is in service" in app.info[0].value
        assert "us-east-1" in app.info[0].value
        assert "Deploy a model" in [link.proto.label for link in app.get("page_link")]
        assert len(app.file_uploader) == 1


def test_nothing_answers(open_page, free_address, read_texts):
    """Where nothing answers, one message says what happened and what to do, with a button; no traceback is shown."""
    app = open_page(environ={"AWS_ENDPOINT_URL": free_address})
    assert "cannot connect to" in app.error[0].value
    assert "Check the network" in app.error[0].value
    assert not app.exception
    assert [button.label for button in app.button if button.label == "Try again"]


def test_files_outlive_an_error(open_page, coast, jpeg, run_until, faults):
    """Where the endpoints cannot be listed, uploaded files stay, and are segmented once they can."""
    app = open_page(endpoint=coast)
    faults.add("error", operation="ListEndpoints|Search", code="AccessDeniedException", status=400)
    fresh_caches()
    drop(app, ("bay.jpg", jpeg()))
    assert "not allowed" in app.error[0].value
    faults.clear()
    click(app, "Try again")
    run_until(app, has_areas)
    assert not app.error


def test_unusable_setting(open_page):
    """A setting that cannot be used is reported with its name and value."""
    app = open_page(environ={"SEGDECK_MODE": "cloud"})
    assert "SEGDECK" in app.error[0].value
    assert "cloud" in app.error[0].value


@pytest.fixture
def free_address() -> str:
    """An address of this machine where nothing listens."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
