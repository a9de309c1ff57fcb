"""Untrusted model archives are inspected safely."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.artifacts.archive import ArchiveLimits
from core.artifacts.artifact import Artifact, inspect_artifact, inspect_artifact_file
from core.errors import ArtifactError, InputError
from core.plans.model_source import local_model
from tests.support.artifacts import archive, aws_files, gluoncv_shapes, parameters, special

ROOT = Path(__file__).resolve().parents[3]
DEMOS = {
    "sandbox/demo/aerial/model.tar.gz": (6, 160),
    "sandbox/demo/coastlines/model.tar.gz": (2, 160),
    "sandbox/demo/jobs/demo-aerial-six-classes.tar.gz": (6, 160),
}
WHERE = "s3://bucket/model.tar.gz"
GOOD = aws_files()


def see(
    packed: bytes, limits: ArchiveLimits | None = None, out_of_time: Callable[[], bool] = lambda: False
) -> Artifact:
    return inspect_artifact(io.BytesIO(packed), WHERE, len(packed), limits=limits, out_of_time=out_of_time)


def refused(packed: bytes, limits: ArchiveLimits | None = None) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        see(packed, limits)
    assert WHERE in caught.value.what
    return caught.value


@pytest.mark.parametrize("path", DEMOS)
def test_a_shipped_model_tells_what_it_is(path: str) -> None:
    """The sandbox's own archives are read completely, as the small network that AWS does not support."""
    found = inspect_artifact_file(ROOT / path)
    assert (found.num_classes, found.crop_size) == DEMOS[path]
    assert (found.network, found.algorithm, found.backbone) == ("light", "light", "light")
    assert [member.name for member in found.members] == [
        "model_algo-1",
        "model_best.params",
        "hyperparams.json",
    ]
    assert found.complete
    assert found.warnings == ()
    assert found.refusal(sandbox=True) is None
    refusal = found.refusal(sandbox=False)
    assert refusal is not None
    assert "small network" in refusal.why


@pytest.mark.parametrize("algorithm", ["fcn", "psp", "deeplab"])
@pytest.mark.parametrize("backbone", ["resnet-50", "resnet-101"])
def test_an_archive_in_awss_layout_tells_its_network(algorithm: str, backbone: str) -> None:
    """Three files and GluonCV's parameter names identify the network."""
    found = see(archive(aws_files(algorithm, backbone, classes=21, crop_size=480)))
    assert (found.network, found.algorithm, found.backbone) == ("aws", algorithm, backbone)
    assert (found.num_classes, found.crop_size) == (21, 480)
    assert found.warnings == ()
    assert found.refusal(sandbox=False) is None


def test_what_it_was_trained_with_fills_the_form_of_the_next_job() -> None:
    """Known hyperparameters are used for incremental training, and unknown keys are not."""
    said = {"crop_size": 320, "epochs": "7", "_tuning_objective": "x", "nested": {"a": 1}}
    found = see(archive(GOOD | {"hyperparams.json": json.dumps(said).encode()}))
    assert found.hyperparameters["nested"] == '{"a": 1}'
    expected = {
        "algorithm": "fcn",
        "backbone": "resnet-50",
        "num_classes": "3",
        "crop_size": "320",
        "epochs": "7",
    }
    assert found.training_values() == expected


def test_what_nobody_says_is_unknown() -> None:
    """A value in neither file is None, never a guess."""
    files = GOOD | {"hyperparams.json": b"{}", "model_best.params": parameters({"dense0_weight": (3, 3)})}
    found = see(archive(files))
    assert (found.algorithm, found.backbone, found.num_classes, found.crop_size) == (None, None, None, None)
    assert found.network == "unknown"
    assert "dense0_weight" in found.warnings[0]


@pytest.mark.parametrize("text", ["-1", "12.5", "many", "9" * 400, "²", ""])
def test_a_number_that_is_none_is_unknown(text: str) -> None:
    """An invalid hyperparameter is kept as text and not parsed as a number."""
    found = see(archive(GOOD | {"hyperparams.json": json.dumps({"crop_size": text}).encode()}))
    assert found.crop_size is None
    assert found.hyperparameters["crop_size"] == text


def test_parameters_count_more_than_words() -> None:
    """If the JSON has another number of classes, that of the parameters is used, with a warning."""
    said = json.dumps({"num_classes": "5", "algorithm": "fcn"}).encode()
    found = see(archive(GOOD | {"hyperparams.json": said}))
    assert found.num_classes == 3
    assert "num_classes 5" in found.warnings[0]


def test_foreign_files_are_told_of() -> None:
    """Additional files are reported but accepted: AWS's server ignores them."""
    found = see(archive(GOOD | {"code/inference.py": b"x", "._model_algo-1": b"y"}))
    assert found.warnings == (
        "It also contains files that AWS's training does not write: code/inference.py, ._model_algo-1.",
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [("model_best.params", "lacks model_best.params"), ("hyperparams.json", "lacks hyperparams.json")],
)
def test_a_missing_file_is_refused(name: str, words: str) -> None:
    """Files that AWS's server needs are required; the error lists the files that exist."""
    error = refused(archive({key: value for key, value in GOOD.items() if key != name}))
    assert words in error.what
    assert "model_algo-1" in error.why


def test_files_in_a_folder_are_refused_with_what_helps() -> None:
    """AWS unpacks to the top level: files in a folder are not found."""
    error = refused(archive({f"model/{name}": content for name, content in GOOD.items()}))
    assert "at the top level" in error.todo
    assert see(archive({f"./{name}": content for name, content in GOOD.items()})).num_classes == 3


@pytest.mark.parametrize("text", [b"", b"[1]", b"{", b'"x"', b"\xff\xfe", b"[" * 60_000])
def test_hyperparameters_that_are_no_json_object_are_refused(text: bytes) -> None:
    """Hyperparameters that are not a JSON object are rejected: AWS's server reads them first."""
    assert "is not a JSON object" in refused(archive(GOOD | {"hyperparams.json": text})).what


def test_enormous_hyperparameters_are_not_read() -> None:
    """A JSON file of megabytes is not a set of hyperparameters."""
    error = refused(archive(GOOD | {"hyperparams.json": b" " * 2_000_000}))
    assert "2,000,000 bytes" in error.what


@pytest.mark.parametrize("weights", [b"", b"PK\x03\x04 something else", GOOD["model_best.params"][:-3]])
def test_parameters_that_cannot_be_loaded_are_refused(weights: bytes) -> None:
    """A file that MXNet cannot load is rejected: the endpoint would fail minutes later."""
    assert (
        "not a complete MXNet parameter file" in refused(archive(GOOD | {"model_best.params": weights})).what
    )


LINK = special("model_best.params.bak", tarfile.SYMTYPE, "/etc/passwd")


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (b"", "no readable tar archive: empty file"),
        (b"this is not an archive", "not packed with gzip"),
        (gzip.compress(b""), "empty file"),
        (gzip.compress(b"no tar" * 1000), "no readable tar archive"),
        (archive(GOOD, special("../escaped")), "'../escaped' leads out"),
        (archive(GOOD, special("a/../../escaped")), "leads out"),
        (archive(GOOD, special("/etc/escaped")), "leads out"),
        (archive(GOOD, special("..\\escaped")), "leads out"),
        (archive(GOOD, special("..", tarfile.DIRTYPE)), "leads out"),
        (archive(GOOD, LINK), "a link to '/etc/passwd'"),
        (archive(GOOD, special("hard", tarfile.LNKTYPE, "model_algo-1")), "a link to 'model_algo-1'"),
        (archive(GOOD, special("pipe", tarfile.FIFOTYPE)), "a device or a pipe"),
        (archive(GOOD, special("tty", tarfile.CHRTYPE)), "a device or a pipe"),
        (archive(GOOD, special("disk", tarfile.BLKTYPE)), "a device or a pipe"),
        (archive(GOOD, special("model_algo-1")), "'model_algo-1' twice"),
        (archive(GOOD, special("./model_algo-1")), "'model_algo-1' twice"),
        (archive(GOOD, *(special(f"f{n}") for n in range(300))), "more than 200 members"),
        (archive(GOOD) + b"junk behind", "not packed with gzip, or damaged"),
    ],
)  # fmt: skip
def test_what_nobody_should_unpack_is_refused_with_the_reason(packed: bytes, why: str) -> None:
    """Paths that lead out, links, devices, duplicate names and special files are rejected, also after valid files."""
    assert why in refused(packed).why


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_an_archive_that_stops_early_is_refused(share: float) -> None:
    """A truncated archive is detected at any position, even after all required files."""
    packed = archive(GOOD)
    assert refused(packed[: int(len(packed) * share)]).why


def test_a_changed_byte_is_found() -> None:
    """gzip's checksum is verified."""
    packed = bytearray(archive(GOOD))
    packed[-8] ^= 1
    assert "CRC check failed" in refused(bytes(packed)).why


def test_damage_between_members_does_not_hide_the_rest() -> None:
    """A damaged header is not treated as the end of the archive, although tarfile does."""
    plain = bytearray(gzip.decompress(archive(GOOD, kind=tarfile.USTAR_FORMAT)))
    second = plain.index(b"model_best.params")
    plain[second + 148] ^= 0x0F
    assert "damaged" in refused(gzip.compress(bytes(plain))).why


def test_a_sparse_file_is_refused() -> None:
    """A sparse file claims gigabytes that the archive does not contain."""
    plain = bytearray(gzip.decompress(archive(GOOD, special("holes"), kind=tarfile.GNU_FORMAT)))
    at = plain.index(b"holes")
    plain[at + 156 : at + 157] = tarfile.GNUTYPE_SPARSE
    plain[at + 148 : at + 156] = b"%06o\0 " % tarfile.calc_chksums(plain[at : at + 512])[0]
    assert "a sparse file" in refused(gzip.compress(bytes(plain))).why


def bomb(megabytes: int) -> bytes:
    """Return an archive of zeros, compressed to a thousandth."""
    return archive(GOOD | {"zeros": bytes(megabytes << 20)})


def test_a_bomb_is_refused_by_how_well_it_is_packed() -> None:
    """An archive that unpacks to more than a hundred times its size is rejected, whatever its header declares."""
    assert "more than 100 times its size" in refused(bomb(80)).why


def test_a_bomb_is_refused_by_what_it_declares_and_by_what_comes() -> None:
    """The limit applies to one member's declared size and to all bytes together."""
    limits = ArchiveLimits(unpacked=1_000_000)
    assert "claims 2,097,152 bytes" in refused(bomb(2), limits).why
    many = archive(GOOD | {f"f{n}": bytes(400_000) for n in range(4)})
    assert "unpacks to more than 1,000,000 bytes" in refused(many, limits).why


def test_forged_headers_are_refused() -> None:
    """A huge extended header, a long chain of headers and a negative size neither fill memory nor loop."""
    long = special("a")
    long.pax_headers = {"comment": "x" * 1_000_000}
    assert "A header in it claims" in refused(archive(GOOD, long)).why
    plain = gzip.decompress(archive({}, special("n" * 120), kind=tarfile.GNU_FORMAT))
    assert "no readable tar" in refused(gzip.compress(plain[:1024] * 2000)).why
    header = bytearray(special("a").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 4 + struct.pack(">q", -1024)
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    assert refused(gzip.compress(gzip.decompress(archive(GOOD))[:-10240] + bytes(header) * 3)).why


def test_memory_stays_small_whatever_the_archive_holds() -> None:
    """Sixty megabytes of weights are skipped in chunks."""
    packed = archive(GOOD | {"big": bytes(60 << 20)})
    tracemalloc.start()
    try:
        see(packed)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 2_000_000


def test_time_that_runs_out_gives_what_is_known() -> None:
    """If time runs out the archive is not rejected: the artifact says that it is incomplete."""
    looks = iter(range(1_000_000))
    found = see(archive(GOOD | {"big": bytes(8 << 20)}), out_of_time=lambda: next(looks) > 60)
    assert not found.complete
    assert (found.algorithm, found.num_classes) == ("fcn", 3)
    assert found.warnings[-1] == "Time ran out before all of it was read."
    assert see(archive(GOOD), out_of_time=lambda: True).members == ()


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inspecting writes no file, in the current folder or elsewhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "model.tar.gz").write_bytes(archive(GOOD, special("../escaped")))
    with pytest.raises(ArtifactError):
        inspect_artifact_file(Path("in/model.tar.gz"))
    (tmp_path / "in" / "model.tar.gz").write_bytes(archive(GOOD))
    assert inspect_artifact_file(Path("in/model.tar.gz")).where == "in/model.tar.gz"
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "model.tar.gz"]


PLAIN = gzip.decompress(archive(aws_files(), kind=tarfile.USTAR_FORMAT))


@settings(deadline=None)
@given(st.data())
def test_any_damage_is_an_error_of_ours_or_harmless(data: st.DataObject) -> None:
    """Changed header bytes never raise another exception, nor loop forever."""
    damaged = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 6))):
        block = data.draw(st.integers(0, len(PLAIN) // 512 - 1))
        at = block * 512 + data.draw(st.integers(0, 511))
        damaged[at] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):  # a header that holds together again
            header = bytes(damaged[block * 512 : block * 512 + 512])
            damaged[block * 512 + 148 : block * 512 + 156] = b"%06o\0 " % tarfile.calc_chksums(header)[0]
    try:
        found = see(gzip.compress(bytes(damaged), 1))
    except ArtifactError:
        return
    assert {"model_best.params", "hyperparams.json"} <= {member.name for member in found.members}


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_are_refused(junk: bytes) -> None:
    """Bytes that are not an archive are an ArtifactError, compressed or not."""
    refused(junk)
    refused(gzip.compress(junk))


@given(st.dictionaries(st.text(max_size=30), st.lists(st.integers(0, 3), min_size=1, max_size=3), max_size=4))
def test_any_names_of_parameters_are_told_or_unknown(shapes: dict[str, list[int]]) -> None:
    """Unknown names and shapes never raise an exception."""
    found = see(archive(GOOD | {"model_best.params": parameters(shapes | gluoncv_shapes())}))
    assert found.complete


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_name_that_is_a_file_and_a_folder_is_refused(names: tuple[str, ...]) -> None:
    """An archive that cannot be unpacked is rejected before it is uploaded."""
    data = archive({**aws_files(), **dict.fromkeys(names, b"x")})
    with pytest.raises(ArtifactError, match="both as a file and as a folder"):
        inspect_artifact(io.BytesIO(data), "model.tar.gz", len(data))


def test_a_pipe_in_a_models_place_is_refused(tmp_path: Path) -> None:
    """A named pipe with a model's name is reported as such, and never blocks."""
    os.mkfifo(tmp_path / "model.tar.gz")
    with pytest.raises(InputError, match=r"model\.tar\.gz cannot be read\. It is a named pipe"):
        local_model(tmp_path / "model.tar.gz", "s3://bucket/models")
