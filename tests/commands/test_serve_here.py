"""A model trained on AWS, served by the sandbox: the masks are those of the model, and nothing is billed.

The artifact has AWS's layout, three files with GluonCV's parameter names. It is in the bucket of another sandbox,
which takes the place of the user's AWS account.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import cli
from sandbox.launcher import write_address
from sandbox.seed.seed import seed
from sandbox.server import Sandbox
from tests.support.artifacts import archive, aws_files, special
from tests.support.command_line import CliRunner

ROOT = Path(__file__).resolve().parents[2]
BUCKET, KEY = "account-of-mine", "out/roads-7/output/model.tar.gz"
URI = f"s3://{BUCKET}/{KEY}"
NAMES = {"classes": [{"name": name} for name in ("land", "road", "water", "ice")]}
TRAINED = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from sandbox.algorithm.archive import BEST, LAST, Architecture, build, write_hyperparameters
from sandbox.algorithm.mxnet_import import load_mxnet
from sandbox.algorithm.predict import Predictor
mx, folder = load_mxnet(), Path(sys.argv[1])
mx.random.seed(3)
network = build(Architecture("fcn", "resnet-50", 4, stem="v1s"))
network.initialize(mx.init.Xavier())
network.save_parameters(str(folder / BEST))
(folder / LAST).write_bytes((folder / BEST).read_bytes()[:1000])  # the server does not read it
hyperparameters = {"algorithm": "fcn", "backbone": "resnet-50", "num_classes": "4", "crop_size": "240"}
write_hyperparameters(folder, hyperparameters)
picture = np.asarray(Image.open(sys.argv[2]))
labels = Predictor.from_folder(folder).probabilities(picture).argmax(axis=0)
np.save(sys.argv[3], labels.astype(np.uint8))
"""
Run = Callable[..., Result]


def python(code: str, *arguments: object) -> None:
    """Run code in a separate process, which keeps MXNet out of this one."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def account(sandbox_server: Sandbox, make_client: Any) -> Any:
    """Return an S3 client of the account, with its bucket."""
    s3 = make_client(sandbox_server, "s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="out/roads-7/output/classes.json", Body=json.dumps(NAMES).encode())
    return s3


@pytest.fixture
def run(aws_environ: dict[str, str], tmp_path: Path) -> Run:
    """Return a function: run("endpoints", ...) works in mode sandbox, with the AWS credentials of `account`."""

    def invoke(*arguments: object) -> Result:
        environ = {**aws_environ, "SEGDECK_MODE": "sandbox", "SEGDECK_SANDBOX_DIR": str(tmp_path / "sandbox")}
        environ["SEGDECK_STATE_DIR"] = str(tmp_path / "state")
        return CliRunner().invoke(cli.app, [str(item) for item in arguments], env=environ)

    return invoke


@pytest.fixture
def stub_home(tmp_path: Path, stub_programs: dict[str, list[str]]) -> Iterator[Sandbox]:
    """Return the sandbox of this machine, with stubs instead of MXNet."""
    with Sandbox(tmp_path / "sandbox", programs=stub_programs) as home:
        seed(home.loopback, tmp_path, print, demos=None)
        write_address(tmp_path / "sandbox", home.address)
        yield home


def test_a_model_in_the_account_is_served_on_this_machine(
    run: Run, account: Any, stub_home: Sandbox, make_client: Any
) -> None:
    """Artifact and class names are copied to the sandbox's S3, and the endpoint is named after the job."""
    packed = archive(aws_files(classes=4))
    account.put_object(Bucket=BUCKET, Key=KEY, Body=packed)
    done = run("endpoints", "serve-here", "--artifact", URI, "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    assert "fcn, backbone resnet-50, classes 4, crop size 240" in done.stderr
    document = json.loads(done.stdout)
    assert document["endpoint"]["status"] == "InService"
    sagemaker = make_client(stub_home, "sagemaker")
    assert sagemaker.describe_endpoint(EndpointName="roads-7")["EndpointStatus"] == "InService"
    model = sagemaker.describe_model(ModelName=sagemaker.list_models()["Models"][0]["ModelName"])
    bucket, key = model["PrimaryContainer"]["ModelDataUrl"].removeprefix("s3://").split("/", 1)
    s3 = make_client(stub_home, "s3")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == packed
    names = s3.get_object(Bucket=bucket, Key=key.replace("model.tar.gz", "classes.json"))["Body"].read()
    assert [row["name"] for row in json.loads(names)["classes"]] == ["land", "road", "water", "ice"]


def test_the_account_is_only_read(
    run: Run, account: Any, stub_home: Sandbox, sandbox_server: Sandbox
) -> None:
    """Nothing is created in the AWS account: no endpoint, no object."""
    account.put_object(Bucket=BUCKET, Key=KEY, Body=archive(aws_files(classes=4)))
    before = account.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert run("endpoints", "serve-here", "--artifact", URI, "--yes", "--name", "mine").exit_code == 0
    assert account.list_objects_v2(Bucket=BUCKET)["Contents"] == before
    sagemaker = sandbox_server.loopback.client("sagemaker")
    assert sagemaker.list_endpoints(NameContains="mine")["Endpoints"] == []


def test_a_uri_of_the_account_is_not_found_in_the_sandbox(run: Run, account: Any, stub_home: Sandbox) -> None:
    """`deploy --artifact` in mode sandbox reads the sandbox's S3, and names the command that reads the account's."""
    done = run("endpoints", "deploy", "--artifact", URI, "--yes")
    assert done.exit_code == 1
    assert f"serve-here --artifact {URI}" in done.stderr


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (archive(aws_files(), special("../escaped")), "leads out"),
        (archive({"model_algo-1": b"x"}), "lacks model_best.params and hyperparams.json"),
        (b"no archive", "not packed with gzip"),
    ],
)
def test_what_should_not_be_unpacked_is_not_served(
    run: Run, account: Any, stub_home: Sandbox, packed: bytes, words: str
) -> None:
    """It is refused with the reason, before anything is created in the sandbox."""
    account.put_object(Bucket=BUCKET, Key="evil/model.tar.gz", Body=packed)
    done = run("endpoints", "serve-here", "--artifact", f"s3://{BUCKET}/evil/model.tar.gz", "--yes")
    assert done.exit_code == 1
    assert words in done.stderr
    assert stub_home.loopback.client("sagemaker").list_endpoints()["Endpoints"] == []


@pytest.mark.mxnet
def test_the_masks_are_the_models_own(run: Run, account: Any, make_client: Any, tmp_path: Path) -> None:
    """A network of AWS's, with GluonCV's names, gives in the sandbox what it gives outside, pixel for pixel."""
    model, photo, mask = tmp_path / "model", tmp_path / "photo.jpg", tmp_path / "mask.npy"
    model.mkdir()
    noise = np.random.default_rng(1).integers(0, 60, (90, 130, 3))
    Image.fromarray((noise + np.linspace(0, 190, 130)[None, :, None]).astype(np.uint8)).save(photo)
    python(TRAINED, model, photo, mask)
    files = {path.name: path.read_bytes() for path in sorted(model.iterdir())}
    account.upload_fileobj(io.BytesIO(archive(files, level=0)), BUCKET, KEY)
    with Sandbox(tmp_path / "sandbox") as home:
        seed(home.loopback, tmp_path, print, demos=None)
        write_address(tmp_path / "sandbox", home.address)
        done = run("endpoints", "serve-here", "--artifact", URI, "--yes")
        assert done.exit_code == 0, done.stderr
        runtime = make_client(home, "sagemaker-runtime", read_timeout=120)
        answer = runtime.invoke_endpoint(
            EndpointName="roads-7", Body=photo.read_bytes(), ContentType="image/jpeg", Accept="image/png"
        )
        with Image.open(io.BytesIO(answer["Body"].read())) as image:
            assert np.array_equal(np.asarray(image), np.load(mask))
        segmented = run("segment", photo, "--endpoint", "roads-7", "--out", tmp_path / "out", "--json")
        assert segmented.exit_code == 0, segmented.stderr
    (row,) = json.loads(segmented.stdout)["images"]
    assert row["class_names"] == ["land", "road", "water", "ice"]
    assert len(np.unique(np.load(mask))) > 1
