"""Preparing a transform job from a listing, and the choice of the masks that a gallery shows."""

from __future__ import annotations

from datetime import UTC, datetime

from core.batch.filters import BatchFilter
from core.batch.gallery import GalleryFilter, page_of, select
from core.batch.job import BatchSpec
from core.batch.objects import StoredObject, read_manifest, sort_inputs
from core.batch.prepare import ListedInputs, job_name, prepare, prepare_resume
from core.batch.results import ImageResult

MEGABYTE = 1 << 20
SPEC = BatchSpec("masks-1", "model", "s3://b/in/", "s3://b/out", "ml.g4dn.xlarge", payload_mb=0)


def listed(**sizes: int) -> ListedInputs:
    return ListedInputs(
        "s3://b/in/", sort_inputs(StoredObject(f"{key}.jpg", size) for key, size in sizes.items())
    )


def test_images_alone_need_no_manifest() -> None:
    """A prefix of images is sent as it is, with the payload limit that its largest image needs."""
    batch = prepare(SPEC, listed(a=10, b=9 * MEGABYTE))
    assert (batch.spec.manifest, batch.manifest, batch.spec.payload_mb) == (False, "", 9)
    assert batch.errors == ()


def test_other_objects_are_left_out_by_a_manifest() -> None:
    """Where not all objects are images, a manifest next to the masks names those that are."""
    inputs = sort_inputs([StoredObject("a.jpg", 1), StoredObject("notes.txt", 1)])
    batch = prepare(SPEC, ListedInputs("s3://b/in/", inputs))
    assert batch.spec.input_uri == "s3://b/out/masks-1.manifest"
    assert read_manifest(batch.manifest, "") == ("s3://b/in/", ("a.jpg",))
    assert "notes.txt" in " ".join(batch.warnings)


def test_large_images_reduce_the_concurrency() -> None:
    """AWS limits all concurrent payloads to 100 MB together: fewer requests are sent, which is reported."""
    batch = prepare(SPEC, listed(a=60 * MEGABYTE))
    assert batch.spec.concurrency == 1
    assert "1 concurrent request instead of 2" in " ".join(batch.warnings)


def test_errors_come_first() -> None:
    """An empty prefix is an error, before any warning."""
    batch = prepare(SPEC, ListedInputs("s3://b/in/", sort_inputs([StoredObject("notes.txt", 1)])))
    assert batch.problems[0].is_error
    assert "There are no JPEG images" in batch.errors[0]


def test_a_resumed_job_reads_what_is_missing() -> None:
    """A resumed job gets the images without a valid output, except rejected ones, which are named."""
    images = tuple(StoredObject(f"{name}.jpg", 1) for name in "abc")
    batch = prepare_resume(SPEC, "s3://b/in/", images, {"a.jpg.out"}, {"b.jpg": "broken"})
    assert [image.key for image in batch.images] == ["c.jpg"]
    assert batch.excluded == ("b.jpg",)
    assert batch.spec.manifest


def test_a_job_is_named_after_its_model_and_the_time() -> None:
    """The time of an earlier job in a name is replaced."""
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert job_name("coast-20260101-000000", now) == job_name("coast", now) == "coast-20261130-120000"


def result(key: str, sea: int, confidence: float | None = None) -> ImageResult:
    return ImageResult(key, 10, 10, {0: 100 - sea, 1: sea}, 0, confidence)


WRITTEN = {key: datetime(2026, 1, day, tzinfo=UTC) for day, key in enumerate(("b.jpg", "a.jpg", "c.jpg"), 1)}
RESULTS = {"a.jpg": result("a.jpg", 5, 0.9), "b.jpg": result("b.jpg", 50, 0.6)}


def test_masks_are_searched_and_sorted() -> None:
    """Without results, masks are found by a part of the name and sorted by name or time."""
    assert select(WRITTEN, {}, GalleryFilter()) == ["a.jpg", "b.jpg", "c.jpg"]
    assert select(WRITTEN, {}, GalleryFilter(order="newest")) == ["c.jpg", "a.jpg", "b.jpg"]
    assert select(WRITTEN, {}, GalleryFilter(text="B")) == ["b.jpg"]


def test_masks_are_filtered_and_sorted_by_class() -> None:
    """A class leaves out images that were not measured or have less of it; areas and confidence sort."""
    assert select(WRITTEN, RESULTS, GalleryFilter(class_id=1)) == ["a.jpg", "b.jpg"]
    assert select(WRITTEN, RESULTS, GalleryFilter(class_id=1, least=0.06)) == ["b.jpg"]
    assert select(WRITTEN, RESULTS, GalleryFilter(class_id=1, order="largest")) == ["b.jpg", "a.jpg"]
    assert select(WRITTEN, RESULTS, GalleryFilter(order="uncertain")) == ["b.jpg", "a.jpg"]


def test_a_page_number_stays_in_range() -> None:
    """A page beyond the last one is the last one."""
    assert page_of(["a", "b", "c"], 9, 2) == (["c"], 2, 2)
    assert page_of([], 1, 24) == ([], 1, 1)


def test_a_filter_survives_its_url() -> None:
    """A filter's URL parameters describe the same filter; invalid ones are ignored with a note."""
    wanted = BatchFilter("Failed", "coast")
    assert BatchFilter.from_query(wanted.to_query()) == wanted
    invalid = BatchFilter.from_query({"status": "Lost", "text": "a b"})
    assert (invalid, len(invalid.notes)) == (BatchFilter(), 2)
