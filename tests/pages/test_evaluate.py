"""The Evaluate page, from a labeled dataset to the scores; and ground truth on the Segment page."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from tests.support.answers import HEIGHT, NAMES, WIDTH

SEA, LAND = 0, 1


def png(ids: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(ids, np.uint8)).save(file, "PNG")
    return file.getvalue()


def truth(columns_of_sea: int = 30) -> np.ndarray:
    """Return a mask: the left columns are sea, the rest is land; the endpoint predicts 30 of 40."""
    ids = np.full((HEIGHT, WIDTH), LAND, np.uint8)
    ids[:, :columns_of_sea] = SEA
    return ids


Open = Callable[..., AppTest]


@pytest.fixture
def open_evaluate(open_page: Open, coast: str, tmp_path: Path) -> Open:
    """open_evaluate(folder=..., **query) -> the page for the endpoint `coast`, with an empty cache."""

    def start(folder: Path | None = None, **query: str) -> AppTest:
        if folder is not None:
            query |= {"labelled": "A folder", "folder": str(folder)}
        environ = {"SEGDECK_STATE_DIR": str(tmp_path / "state")}
        return open_page("evaluate", environ=environ, endpoint=coast, **query)

    return start


@pytest.fixture
def shore(tmp_path: Path, jpeg) -> Path:
    """A Pascal VOC dataset of three images: one correct, one a quarter wrong, one for training."""
    folder = tmp_path / "shore"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    for place, (name, columns) in enumerate({"right": 30, "wrong": 20, "seen": 0}.items()):
        (folder / "JPEGImages" / f"{name}.jpg").write_bytes(jpeg(shade=10 * place))
        (folder / "SegmentationClass" / f"{name}.png").write_bytes(png(truth(columns)))
    (folder / "ImageSets/Segmentation/train.txt").write_text("seen\n")
    (folder / "ImageSets/Segmentation/val.txt").write_text("right\nwrong\n")
    return folder


@pytest.fixture
def evaluate(run_until: Callable[..., None]) -> Callable[[AppTest], AppTest]:
    """evaluate(app): press the button, and wait for the end."""

    def press(app: AppTest) -> AppTest:
        button(app, "Evaluate").click().run()
        run_until(app, lambda app: not [button for button in app.button if button.label == "Stop"])
        return app

    return press


def button(app: AppTest, label: str) -> Any:
    return next(button for button in app.button if label in button.label)


def measures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_a_folder_is_evaluated(open_evaluate, shore, evaluate, read_texts):
    """A folder's validation images are evaluated: scores, a row per class, confused classes, worst image first."""
    app = open_evaluate(shore)
    evaluate(app)
    assert not app.error
    # sea: 1500 true, 1800 predicted, 1500 common; land: 900 true, 600 predicted, 600 common
    assert measures(app)["Mean IoU"] == f"{(1500 / 1800 + 600 / 900) / 2:.1%}"
    assert measures(app)["Mean IoU per image"] == f"{(1 + (600 / 900 + 300 / 600) / 2) / 2:.1%}"
    assert measures(app)["Pixel accuracy"] == f"{2100 / 2400:.1%}"
    table = next(frame.value for frame in app.dataframe if "iou" in frame.value)
    assert list(table["class"]) == ["sea", "land"]
    assert table["iou"].round(2).tolist() == [83.33, 66.67]
    assert "land predicted as sea" in next(
        button.label for button in app.button if "predicted as" in button.label
    )
    assert r"**wrong\.jpg** · mean IoU 58.3%" in read_texts(app)
    assert "2 of 2 images" in read_texts(app)


def test_calibration(open_evaluate, shore, evaluate, read_texts):
    """With calibration, probabilities are requested, and error, diagram, curve and thresholds are shown."""
    app = open_evaluate(shore)
    next(toggle for toggle in app.toggle if toggle.label == "Calibration").set_value(True).run()
    evaluate(app)
    assert not app.error
    assert "Calibration" in [heading.value for heading in app.header]
    assert "expected calibration error" in read_texts(app)
    table = next(frame.value for frame in app.dataframe if "Coverage" in frame.value)
    assert table["Coverage"].iloc[0] == "100.0%"
    assert table["Accuracy"].iloc[0] == f"{2100 / 2400:.1%}"


def test_classes_have_the_colors_of_the_dataset(open_evaluate, shore, evaluate):
    """Class names that the model does not have are shown in the colors of the dataset's masks."""
    (shore / "classes.txt").write_text("water\nearth\n")
    for path in (shore / "SegmentationClass").iterdir():
        image = Image.open(path)
        image.putpalette([1, 2, 3, 200, 100, 50])
        image.save(path)
    app = evaluate(open_evaluate(shore))
    assert app.session_state["evaluate.current"].result.classes.colors == ((1, 2, 3), (200, 100, 50))


def test_all_of_a_folder(open_evaluate, shore, evaluate, read_texts):
    """With all images of a folder, those of the training split are evaluated too."""
    app = open_evaluate(shore, part="All of it")
    evaluate(app)
    assert "3 of 3 images" in read_texts(app)


def test_cached_predictions_are_used_again(open_evaluate, shore, evaluate, read_texts, faults):
    """A cached image is not sent again, not even by a dashboard that was restarted."""
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    for _ in range(2):
        app = open_evaluate(shore)
        evaluate(app)
    assert len(faults.hits) == 2
    assert "2 of them cached" in read_texts(app)


def test_the_button_is_enabled_once_an_evaluation_is_over(open_evaluate, shore, evaluate):
    """An evaluation that ends while its page is drawn, as with cached predictions, leaves the button enabled."""
    app = evaluate(evaluate(open_evaluate(shore)))
    assert not button(app, "Evaluate").disabled


def test_cached_predictions_can_be_deleted(open_evaluate, shore, evaluate, tmp_path):
    """The number of cached predictions is shown; once they are deleted, none of their files is left."""
    app = evaluate(open_evaluate(shore))
    assert "2 cached predictions" in [block.proto.popover.label for block in app.get("popover")]
    (delete,) = (button for button in app.button if button.label == "Delete cached predictions")
    delete.click().run()
    assert not app.exception
    assert not list((tmp_path / "state/evaluations").rglob("*.*"))
    assert "Delete cached predictions" not in [button.label for button in app.button]


def test_only_the_last_endpoints_stay_cached(open_evaluate, shore, evaluate, tmp_path):
    """The endpoints evaluated last stay cached; the predictions of older ones are deleted at the next evaluation."""
    for number in range(25):
        folder = tmp_path / f"state/evaluations/{number:02}"
        folder.mkdir(parents=True)
        os.utime(folder, (number, number))
    evaluate(open_evaluate(shore))
    kept = {path.name for path in (tmp_path / "state/evaluations").iterdir()}
    older = {f"{number:02}" for number in range(25)}
    assert kept & older == {f"{number:02}" for number in range(6, 25)}
    assert len(kept - older) == 1


def test_confused_classes_lead_to_their_images(open_evaluate, shore, evaluate, read_texts):
    """A click on two confused classes shows their images, with the number of pixels; another shows all images."""
    app = open_evaluate(shore)
    evaluate(app)
    button(app, "predicted as").click().run()
    assert "land predicted as sea: 1 image" in [heading.value for heading in app.header]
    button(app, "All images").click().run()
    assert "Images, worst first" in [heading.value for heading in app.header]


def test_two_endpoints(open_evaluate, stub_endpoint, sandbox_server, shore, evaluate):
    """Two endpoints are shown side by side with the difference for each class and for the overall scores."""
    poor = stub_endpoint(files={"answer.png": png(truth(40))})
    sandbox_server.loopback.client("s3").put_object(
        Bucket="stub-models", Key=f"{poor}/classes.json", Body=json.dumps(NAMES).encode()
    )
    app = open_evaluate(shore, against=poor)
    evaluate(app)
    table = next(frame.value for frame in app.dataframe if "difference" in frame.value)
    assert table["other"].round(2).tolist() == [62.5, 0]
    assert table["difference"].round(2).tolist() == [20.83, 66.67]
    delta = next(metric.delta for metric in app.metric if metric.label == "Mean IoU")
    assert delta == "+43.8 points"
    assert any("more than chance cannot be said with" in text.value for text in app.markdown)
    scores = next(frame.value for frame in app.dataframe if "ahead" in frame.value)
    assert scores.loc["Boundary IoU", "value 0"] > scores.loc["Boundary IoU", "value 1"]
    assert any("in neither ground truth nor prediction" in text.value for text in app.caption)


def test_uploaded_files(open_evaluate, jpeg, evaluate, read_texts):
    """Uploaded images and masks are paired by name, with or without "_mask"; what has no pair is reported."""
    app = open_evaluate(labelled="Files")
    files = [
        ("a.jpg", jpeg(shade=1), "image/jpeg"),
        ("a.png", png(truth()), "image/png"),
        ("b.jpg", jpeg(shade=2), "image/jpeg"),
        ("b_mask.png", png(truth()), "image/png"),
        ("c.jpg", jpeg(shade=3), "image/jpeg"),
    ]
    app.file_uploader[0].set_value(files).run()
    evaluate(app)
    assert measures(app)["Mean IoU"] == "100.0%"
    assert r"Skipped the image c\: it has no mask" in read_texts(app)


def test_zip(open_evaluate, shore, evaluate, read_texts):
    """A ZIP of a dataset is evaluated whole; one with a path outside of its folder is refused with the reason."""
    app = open_evaluate(labelled="Files")
    packed, evil = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(shore.rglob("*.*")):
            archive.write(path, path.relative_to(shore))
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("../outside.jpg", b"")
    app.file_uploader[0].set_value([("evil.zip", evil.getvalue(), "application/zip")]).run()
    button(app, "Evaluate").click().run()
    assert "leads out of the folder" in app.error[0].value
    app.file_uploader[0].set_value([("shore.zip", packed.getvalue(), "application/zip")]).run()
    evaluate(app)
    assert "3 of 3 images" in read_texts(app)


@pytest.fixture
def in_s3(sandbox_server, shore) -> str:
    """The validation images and masks of the shore as channels below a prefix."""
    s3, base = sandbox_server.loopback.client("s3"), f"s3://stub-models/{shore.parent.name}"
    for name in ("right", "wrong"):
        for channel, file in (
            ("validation", f"JPEGImages/{name}.jpg"),
            ("validation_annotation", f"SegmentationClass/{name}.png"),
        ):
            key = f"{shore.parent.name}/{channel}/{Path(file).name}"
            s3.put_object(Bucket="stub-models", Key=key, Body=(shore / file).read_bytes())
    return base


def test_s3(open_evaluate, in_s3, evaluate, read_texts):
    """Images and masks below two S3 prefixes are paired and evaluated."""
    app = open_evaluate(
        labelled="S3",
        photos=f"{in_s3}/validation/",
        masks=f"{in_s3}/validation_annotation",
    )
    evaluate(app)
    assert measures(app)["Pixel accuracy"] == f"{2100 / 2400:.1%}"


def test_no_training_job(open_evaluate):
    """Where no training job is found for the model, that is reported, and the button stays disabled."""
    app = open_evaluate()
    assert "No training job found" in app.info[0].value
    assert button(app, "Evaluate").disabled


def test_a_folder_that_does_not_exist(open_evaluate, tmp_path):
    """A folder that does not exist is reported before anything is sent."""
    app = open_evaluate(tmp_path / "nowhere")
    button(app, "Evaluate").click().run()
    assert "does not exist" in app.error[0].value


def test_failures_are_reported(open_evaluate, shore, evaluate, read_texts, faults):
    """An image that fails is reported with its reason and counts nowhere; the next run sends that one alone."""
    faults.add("error", operation="InvokeEndpoint", code="ThrottlingException", status=400, times=1)
    app = open_evaluate(shore)
    evaluate(app)
    assert "too many calls" in read_texts(app)
    assert "1 failed" in read_texts(app)
    before = len(faults.hits)
    faults.add("delay", seconds=0, operation="InvokeEndpoint")
    evaluate(app)
    assert len(faults.hits) == before + 1
    assert "1 failed" not in read_texts(app)


def test_a_stopped_evaluation(open_evaluate, shore, jpeg, run_until, read_texts, faults):  # noqa: PLR0917
    """An evaluation that is stopped scores the images that are done, and says so."""
    for shade in range(60, 90):
        for folder, data in (("JPEGImages", jpeg(shade=3 * shade)), ("SegmentationClass", png(truth()))):
            suffix = "jpg" if folder == "JPEGImages" else "png"
            (shore / folder / f"{shade}.{suffix}").write_bytes(data)
    (shore / "ImageSets/Segmentation/val.txt").write_text("\n".join(map(str, range(60, 90))))
    faults.add("delay", seconds=0, operation="InvokeEndpoint", times=3)
    faults.add("delay", seconds=60, operation="InvokeEndpoint")  # until `clear`
    app = open_evaluate(shore)
    button(app, "Evaluate").click().run()
    run_until(app, lambda app: len(faults.hits) > 3)
    button(app, "Stop").click().run()
    sent = len(faults.hits)
    faults.clear()
    faults.add("delay", seconds=0, operation="InvokeEndpoint")  # counts further calls
    run_until(app, lambda app: not [button for button in app.button if "Stop" in button.label])
    assert "It was stopped after" in read_texts(app)
    assert "of 30 images" in read_texts(app)
    assert sent + len(faults.hits) < 30


def viewers(app: AppTest) -> list[Any]:
    """Return the viewers on a page."""
    return [
        component
        for component in app.get("bidi_component")
        if component.proto.component_name.endswith("viewer")
    ]


def test_ground_truth_on_the_segment_page(open_page, coast, jpeg, run_until, read_texts):
    """On the Segment page, a mask with an image's name is not segmented: it gives the scores of that image."""
    app = open_page(endpoint=coast)
    files = [("bay.jpg", jpeg(), "image/jpeg"), ("bay.png", png(truth(20)), "image/png")]
    app.file_uploader[0].set_value(files).run()
    run_until(app, lambda app: app.metric)
    assert measures(app)["Mean IoU"] == f"{(600 / 900 + 300 / 600) / 2:.1%}"
    assert measures(app)["Pixel accuracy"] == "75.0%"
    table = next(frame.value for frame in app.dataframe if "iou" in frame.value)
    assert table["iou"].round(1).tolist() == [66.7, 50]
    view = next(control for control in app.segmented_control if control.label == "View")
    before = viewers(app)[0].proto.bytes
    view.set_value("errors").run()
    after = viewers(app)[0].proto.bytes
    assert b'"wrong"' in after
    assert b'"wrong"' not in before


def test_ground_truth_of_another_size(open_page, coast, jpeg, run_until):
    """A ground-truth mask of another size is reported with both sizes, and the prediction is shown all the same."""
    app = open_page(endpoint=coast)
    files = [("bay.jpg", jpeg(), "image/jpeg"), ("bay.png", png(truth()[:, :20]), "image/png")]
    app.file_uploader[0].set_value(files).run()
    run_until(app, lambda app: app.dataframe)
    assert r"bay\.png is 20 x 30 pixels, but its image is 40 x 30" in app.warning[0].value
    assert len(viewers(app)) == 1
