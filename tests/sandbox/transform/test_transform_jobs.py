"""The lifecycle of transform jobs, seen with boto3: outputs, statuses, logs, metrics, every kind of end."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from sandbox import rehearse
from sandbox.server import Sandbox
from sandbox.transform.inputs import InputError, list_inputs
from sandbox.transform.worker import ExecutionParameters
from tests.sandbox.transform.conftest import BUCKET, Jobs, request
from tests.support.patience import WAITER

Client = Callable[..., Any]


def resources(count: int, instance: str = "ml.g4dn.xlarge") -> dict[str, Any]:
    """Return the member TransformResources."""
    return {"InstanceType": instance, "InstanceCount": count}


def source(uri: str, kind: str = "S3Prefix") -> dict[str, Any]:
    """Return the member TransformInput."""
    return {
        "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": uri}},
        "ContentType": "image/jpeg",
    }


def test_every_image_gets_its_output(jobs: Jobs, tmp_path: Path) -> None:
    """A job is InProgress, then Completed with its times; the output of x.jpg is x.jpg.out at its relative key."""
    gate = tmp_path / "gate"
    model = jobs.model(files={"answer.png": b"a mask"}, gate=str(gate))
    name = jobs.create(model, jobs.images("a.jpg", "deep/er/b.jpg"))
    sagemaker = jobs.sagemaker
    assert sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"] == "InProgress"
    gate.touch()
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
        TransformJobName=name, WaiterConfig=WAITER
    )
    document = sagemaker.describe_transform_job(TransformJobName=name)
    assert document["TransformJobStatus"] == "Completed"
    assert document["CreationTime"] <= document["TransformStartTime"] <= document["TransformEndTime"]
    assert "FailureReason" not in document
    assert jobs.outputs(name) == {"a.jpg.out": b"a mask", "deep/er/b.jpg.out": b"a mask"}


def test_the_defaults_of_aws_are_described(jobs: Jobs) -> None:
    """DescribeTransformJob has the request and AWS's defaults."""
    name = jobs.create(jobs.model(), jobs.images("a.jpg"), MaxPayloadInMB=3)
    document = jobs.sagemaker.describe_transform_job(TransformJobName=name)
    assert document["TransformInput"]["SplitType"] == document["TransformInput"]["CompressionType"] == "None"
    assert document["TransformOutput"]["AssembleWith"] == "None"
    assert document["DataProcessing"] == {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    assert document["MaxPayloadInMB"] == 3
    assert document["TransformJobArn"].endswith(f":transform-job/{name}")
    assert not [member for member in document if member.startswith("_")]


class TestInputs:
    @pytest.mark.parametrize(
        ("end", "names"),
        [
            ("", {"a.jpg", "a.jpg.txt", "deep/b.jpg"}),
            ("/", {"a.jpg", "a.jpg.txt", "deep/b.jpg"}),
            ("/a", {"a.jpg", "a.jpg.txt"}),
            ("/deep", {"b.jpg"}),
            ("/deep/b.jpg", {"b.jpg"}),
        ],
    )
    def test_prefix(self, jobs: Jobs, end: str, names: set[str]) -> None:
        """Every key that begins with the prefix is an input; its name is relative to the folder of the prefix."""
        prefix = jobs.images("a.jpg", "a.jpg.txt", "deep/", "deep/b.jpg")
        data = source(f"s3://{BUCKET}/{prefix}{end}")["DataSource"]["S3DataSource"]
        assert {item.name for item in list_inputs(jobs.s3, data)} == names

    def test_manifest(self, jobs: Jobs) -> None:
        """A manifest names its prefix and the keys below it; the others are not touched."""
        prefix = jobs.images("a.jpg", "deep/b.jpg", "c.jpg")
        manifest = json.dumps([{"prefix": f"s3://{BUCKET}/{prefix}/"}, "deep/b.jpg", "c.jpg"])
        s3 = jobs.s3
        s3.put_object(Bucket=BUCKET, Key=f"{prefix}.manifest", Body=manifest.encode())
        name = jobs.create(
            jobs.model(), prefix, TransformInput=source(f"s3://{BUCKET}/{prefix}.manifest", "ManifestFile")
        )
        assert jobs.finished(name)["TransformJobStatus"] == "Completed"
        assert set(jobs.outputs(name)) == {"deep/b.jpg.out", "c.jpg.out"}

    @pytest.mark.parametrize(
        "text",
        [
            "{",
            "[]",
            "{}",
            '["a.jpg"]',
            '[{"prefix": "s3://b/"}, 1]',
            '[{"prefix": "s3://b/"}]',
            "[[]]",
            "\x00",
        ],
    )
    def test_invalid_manifest(self, jobs: Jobs, text: str) -> None:
        """A file that is not a manifest is refused by its name."""
        jobs.s3.put_object(Bucket=BUCKET, Key="bad.manifest", Body=text.encode())
        data = {"S3DataType": "ManifestFile", "S3Uri": f"s3://{BUCKET}/bad.manifest"}
        with pytest.raises(InputError, match=rf'"s3://{BUCKET}/bad\.manifest" is not a valid manifest'):
            list(list_inputs(jobs.s3, data))

    def test_inputs_that_cannot_be_listed(self, jobs: Jobs) -> None:
        """A job whose manifest is invalid has Failed, with the reason."""
        jobs.s3.put_object(Bucket=BUCKET, Key="bad.manifest", Body=b"{")
        uri = f"s3://{BUCKET}/bad.manifest"
        document = jobs.finished(jobs.create(jobs.model(), "-", TransformInput=source(uri, "ManifestFile")))
        assert document["TransformJobStatus"] == "Failed"
        assert document["FailureReason"].startswith(f'ClientError: "{uri}" is not a valid manifest')

    def test_outputs_below_the_input(self, jobs: Jobs) -> None:
        """An output that is written below the input prefix does not become an input."""
        prefix = jobs.images("a.jpg", "b.jpg")
        output = {"S3OutputPath": f"s3://{BUCKET}/{prefix}/0-out/"}
        assert (
            jobs.finished(jobs.create(jobs.model(), prefix, TransformOutput=output))["TransformJobStatus"]
            == "Completed"
        )
        listed = jobs.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/0-out/")
        names = [item["Key"].rpartition("/")[2] for item in listed["Contents"]]
        assert names == ["a.jpg.out", "b.jpg.out"]

    @pytest.mark.parametrize("uri", [f"s3://{BUCKET}/no-such/", "s3://no-such-bucket/x"])
    def test_no_objects(self, jobs: Jobs, uri: str) -> None:
        """CreateTransformJob refuses an input without objects, in AWS's words."""
        with pytest.raises(ClientError) as caught:
            jobs.sagemaker.create_transform_job(**request("x", jobs.model(), "-", TransformInput=source(uri)))
        error = caught.value.response["Error"]
        assert error["Code"] == "ValidationException"
        assert f'No S3 objects found under S3 URL "{uri}" given in input data source.' in error["Message"]


class TestContainer:
    def test_headers_and_environment(self, jobs: Jobs) -> None:
        """The container gets the content type, the accept type, the job's environment and batch transform's own."""
        name = jobs.create(
            jobs.model(environ="S"),
            jobs.images("a.jpg"),
            TransformOutput={
                "S3OutputPath": f"s3://{BUCKET}/out/x",
                "Accept": "application/x-recordio-protobuf",
            },
            Environment={"SM_OWN": "1"},
            MaxConcurrentTransforms=3,
            MaxPayloadInMB=5,
            BatchStrategy="SingleRecord",
        )
        assert jobs.finished(name)["TransformJobStatus"] == "Completed"
        seen = json.loads(jobs.outputs("x")["a.jpg.out"])
        assert seen["Content-Type"] == "image/jpeg"
        assert seen["Accept"] == "application/x-recordio-protobuf"
        assert (
            seen["environ"].items()
            >= {
                "SM_OWN": "1",
                "SAGEMAKER_BATCH": "true",
                "SAGEMAKER_MAX_PAYLOAD_IN_MB": "5",
                "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
                "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "3",
            }.items()
        )

    @pytest.mark.parametrize(
        ("members", "advertised", "line"),
        [
            ({}, {}, "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"),
            (
                {},
                {"MaxConcurrentTransforms": 2, "MaxPayloadInMB": 10, "BatchStrategy": "SINGLE_RECORD"},
                "MaxConcurrentTransforms=2, MaxPayloadInMB=10, BatchStrategy=SINGLE_RECORD",
            ),
            (
                {"MaxPayloadInMB": 7, "MaxConcurrentTransforms": 0, "BatchStrategy": "SingleRecord"},
                {"MaxConcurrentTransforms": 2, "MaxPayloadInMB": 10},
                "MaxConcurrentTransforms=2, MaxPayloadInMB=7, BatchStrategy=SINGLE_RECORD",
            ),
            (
                {},
                {"MaxConcurrentTransforms": -1, "MaxPayloadInMB": "many", "BatchStrategy": 1},
                "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD",
            ),
        ],
    )
    def test_parameters(self, members: dict[str, Any], advertised: dict[str, Any], line: str) -> None:
        """The request's values count, then those that the container advertises, then AWS's defaults."""
        assert ExecutionParameters.of(members, advertised).line() == line

    def test_parameters_of_a_container(self, jobs: Jobs) -> None:
        """The container is asked for its parameters, and the data log begins with them."""
        model = jobs.model(parameters='{"MaxConcurrentTransforms": 2, "MaxPayloadInMB": 10}')
        name = jobs.create(model, jobs.images("a.jpg"))
        assert jobs.finished(name)["TransformJobStatus"] == "Completed"
        assert (
            jobs.lines(name)[0] == "MaxConcurrentTransforms=2, MaxPayloadInMB=10, BatchStrategy=MULTI_RECORD"
        )

    def test_workers(self, jobs: Jobs, tmp_path: Path, eventually: Callable[..., Any]) -> None:
        """Each instance is a container of its own, and all take part; each has two log streams."""
        names, held = [f"{number}.jpg" for number in range(6)], tmp_path / "held"
        model = jobs.model(held=str(held))
        name = jobs.create(model, jobs.images(*names), TransformResources=resources(3))
        eventually(lambda: len(list(tmp_path.glob("held-*"))) == 3)
        held.touch()
        assert jobs.finished(name)["TransformJobStatus"] == "Completed"
        written = jobs.outputs(name)
        assert set(written) == {f"{image}.out" for image in names}
        assert len({json.loads(body)["pid"] for body in written.values()}) == 3
        assert len([line for line in jobs.lines(name) if line.startswith("MaxConcurrent")]) == 3
        assert len([line for line in jobs.lines(name, data=False) if "stub serving" in line]) == 3

    def test_streams_and_metrics(self, jobs: Jobs, client: Client) -> None:
        """Log streams and the dimension Host have the instance's id, as in AWS."""
        name = jobs.create(jobs.model(), jobs.images("a.jpg"))
        jobs.finished(name)
        group = "/aws/sagemaker/TransformJobs"
        listing = client("logs").describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")
        first, second = sorted(stream["logStreamName"] for stream in listing["logStreams"])
        instance = re.fullmatch(rf"{name}/(i-[0-9a-f]{{17}})-[0-9]{{10}}", first)
        assert instance is not None
        assert second == f"{first}/data-log"
        listed = client("cloudwatch").list_metrics(
            Namespace=group, Dimensions=[{"Name": "Host", "Value": f"{name}/{instance[1]}"}]
        )
        names = {metric["MetricName"] for metric in listed["Metrics"]}
        assert names == {"CPUUtilization", "MemoryUtilization"}

    def test_not_ready(self, jobs: Jobs) -> None:
        """A container that does not start fails the job in AWS's words, with the end of its log."""
        document = jobs.finished(jobs.create(jobs.model(exit="no weights"), jobs.images("a.jpg")))
        assert document["TransformJobStatus"] == "Failed"
        reason = document["FailureReason"]
        assert reason.startswith(
            "AlgorithmError: Model container failed to respond to ping. Please ensure /ping"
        )
        assert "no weights" in reason

    def test_no_program(self, jobs: Jobs) -> None:
        """An image that nothing on this machine stands for fails the job by its name."""
        jobs.sagemaker.create_model(
            ModelName="other-image", PrimaryContainer={"Image": "my.registry/other:1"}
        )
        document = jobs.finished(jobs.create("other-image", jobs.images("a.jpg")))
        assert 'stands for the image "my.registry/other:1"' in document["FailureReason"]


class TestFailures:
    def test_bad_images(self, jobs: Jobs) -> None:
        """An image that is refused fails the job, and the log says why; all others have their output."""
        prefix = jobs.images("a.jpg", "c.jpg", bad=("b.jpg",))
        name = jobs.create(jobs.model(refuse=["broken", 400]), prefix)
        sagemaker = jobs.sagemaker
        with pytest.raises(WaiterError):
            sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
                TransformJobName=name, WaiterConfig=WAITER
            )
        document = sagemaker.describe_transform_job(TransformJobName=name)
        assert document["TransformJobStatus"] == "Failed"
        assert document["FailureReason"] == "ClientError: See job logs for more information"
        assert set(jobs.outputs(name)) == {"a.jpg.out", "c.jpg.out"}
        label = f"{BUCKET}/{prefix}/b.jpg"
        expected = ["ClientError: 400", "", "Message:", "Refused:", "broken"]
        assert jobs.lines(name)[1:] == [f"{label}: {line}" for line in expected]

    def test_server_errors_are_retried(self, jobs: Jobs) -> None:
        """A server error is retried as often as the request says, then logged as the algorithm's."""
        prefix = jobs.images("a.jpg")
        name = jobs.create(jobs.model(status=500), prefix, ModelClientConfig={"InvocationsMaxRetries": 1})
        document = jobs.finished(name)
        assert document["FailureReason"] == "AlgorithmError: See job logs for more information"
        assert f"{BUCKET}/{prefix}/a.jpg: Bad HTTP status received from algorithm: 500" in jobs.lines(name)
        posts = [line for line in jobs.lines(name, data=False) if "POST /invocations" in line]
        assert len(posts) == 2

    def test_timeout(self, jobs: Jobs) -> None:
        """A response that takes longer than InvocationsTimeoutInSeconds is none."""
        config = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
        prefix = jobs.images("a.jpg")
        name = jobs.create(jobs.model(seconds=30), prefix, ModelClientConfig=config)
        assert jobs.finished(name)["FailureReason"] == "AlgorithmError: See job logs for more information"
        assert jobs.lines(name)[1:] == [f"{BUCKET}/{prefix}/a.jpg: Unable to get response from algorithm"]

    def test_payload(self, jobs: Jobs) -> None:
        """An object above MaxPayloadInMB is not sent, and fails the job; one of exactly that size is."""
        prefix = jobs.images()
        s3 = jobs.s3
        for name, size in (("fits.jpg", 1 << 20), ("large.jpg", (1 << 20) + 1)):
            s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=io.BytesIO(bytes(size)))
        name = jobs.create(jobs.model(), prefix, MaxPayloadInMB=1)
        assert jobs.finished(name)["FailureReason"] == "ClientError: See job logs for more information"
        assert set(jobs.outputs(name)) == {"fits.jpg.out"}
        assert jobs.lines(name)[1:] == [f"{BUCKET}/{prefix}/large.jpg: Too much data for max payload size"]

    def test_truncated_response(self, jobs: Jobs) -> None:
        """A response that breaks off is never written."""
        config = {"InvocationsMaxRetries": 0}
        name = jobs.create(jobs.model(bytes=1000, cut=10), jobs.images("a.jpg"), ModelClientConfig=config)
        assert jobs.finished(name)["TransformJobStatus"] == "Failed"
        assert not jobs.outputs(name)


class TestFaults:
    def test_a_worker_dies(
        self, jobs: Jobs, sandbox: Sandbox, tmp_path: Path, eventually: Callable[..., Any]
    ) -> None:
        """The other workers continue, and the job ends Failed with the exit code of the dead one."""
        names, held = [f"{number:02d}.jpg" for number in range(10)], tmp_path / "held"
        sandbox.faults.add("kill", service="transform", operation=".*/1 .*", times=1)
        model = jobs.model(held=str(held))
        name = jobs.create(model, jobs.images(*names), TransformResources=resources(2))
        eventually(lambda: sandbox.faults.hits)  # before the other worker may take all images
        held.touch()
        document = jobs.finished(name)
        words = "ended with exit code 137; See job logs for more information"
        assert re.fullmatch(
            rf"AlgorithmError: the container of {name}/i-\w+ {words}", document["FailureReason"]
        )
        assert len(jobs.outputs(name)) == 9

    def test_missing_capacity_fails_a_job_before_it_is_billed(self, jobs: Jobs, sandbox: Sandbox) -> None:
        """Without capacity for its instance type a job fails with AWS's words and has no start; then others run."""
        set_capacity = {"InstanceType": "ml.g4dn.4xlarge", "Available": False}
        rehearse.call(sandbox.address, "SetCapacity", set_capacity)
        model, prefix = jobs.model(), jobs.images("a.jpg")
        missing = jobs.create(model, prefix, TransformResources=resources(1, "ml.g4dn.4xlarge"))
        document = jobs.finished(missing)
        assert document["TransformJobStatus"] == "Failed"
        assert document["FailureReason"] == (
            "CapacityError: Unable to provision requested ML compute capacity. "
            "Please retry using a different ML instance type."
        )
        assert "TransformStartTime" not in document
        assert not jobs.outputs(missing)
        assert rehearse.call(sandbox.address, "SetCapacity", {**set_capacity, "Available": True})[
            "WasMissing"
        ]
        again = jobs.create(model, prefix, TransformResources=resources(1, "ml.g4dn.4xlarge"))
        assert jobs.finished(again)["TransformJobStatus"] == "Completed"

    def test_the_last_worker_dies(self, jobs: Jobs) -> None:
        """Without a container the job ends at once, and says how many images it did not try."""
        names = [f"{number}.jpg" for number in range(6)]
        name = jobs.create(jobs.model(), jobs.images(*names), Environment={"SM_SANDBOX_FAULT": "kill:2"})
        reason = jobs.finished(name)["FailureReason"]
        assert "exit code 137; 3 of 6 objects were not sent to any container; See job logs" in reason
        assert set(jobs.outputs(name)) == {"0.jpg.out", "1.jpg.out"}

    def test_a_worker_hangs_until_the_job_is_stopped(
        self, jobs: Jobs, eventually: Callable[..., Any]
    ) -> None:
        """A container that stops answering leaves the job InProgress; StopTransformJob ends it at once."""
        names = [f"{number}.jpg" for number in range(5)]
        name = jobs.create(jobs.model(), jobs.images(*names), Environment={"SM_SANDBOX_FAULT": "hang:2"})
        eventually(lambda: len(jobs.outputs(name)) == 2)
        sagemaker = jobs.sagemaker
        assert sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"] == "InProgress"
        sagemaker.stop_transform_job(TransformJobName=name)
        document = jobs.finished(name)
        assert document["TransformJobStatus"] == "Stopped"
        assert "FailureReason" not in document
        assert len(jobs.outputs(name)) == 2

    def test_a_slow_worker(self, jobs: Jobs) -> None:
        """A job can ask for a delay of each image, and it then takes that long."""
        name = jobs.create(
            jobs.model(), jobs.images("a.jpg", "b.jpg"), Environment={"SM_SANDBOX_FAULT": "delay:0.4"}
        )
        document = jobs.finished(name)
        assert (document["TransformEndTime"] - document["TransformStartTime"]).total_seconds() > 0.8

    def test_an_invalid_fault(self, jobs: Jobs) -> None:
        """A fault that is not understood is refused."""
        whole = request("x", jobs.model(), jobs.images("a.jpg"), Environment={"SM_SANDBOX_FAULT": "explode"})
        with pytest.raises(ClientError, match="SM_SANDBOX_FAULT must be hang:N or kill:N"):
            jobs.sagemaker.create_transform_job(**whole)


class TestOperations:
    def test_stop_of_a_job_that_has_ended(self, jobs: Jobs) -> None:
        """A job that has ended cannot be stopped, and its name is not free."""
        prefix, name = jobs.images("a.jpg"), ""
        whole = request("x", jobs.model(), prefix)
        name = jobs.create(whole["ModelName"], prefix)
        jobs.finished(name)
        sagemaker = jobs.sagemaker
        with pytest.raises(ClientError, match="the transform job is in status Completed"):
            sagemaker.stop_transform_job(TransformJobName=name)
        with pytest.raises(ClientError) as caught:
            sagemaker.create_transform_job(**{**whole, "TransformJobName": name})
        assert caught.value.response["Error"]["Code"] == "ResourceInUse"

    def test_unknown_names(self, jobs: Jobs) -> None:
        """An unknown job and an unknown model are refused by their names."""
        sagemaker = jobs.sagemaker
        for call in (sagemaker.describe_transform_job, sagemaker.stop_transform_job):
            with pytest.raises(
                ClientError, match="Could not find requested job with name: none-such"
            ) as caught:
                call(TransformJobName="none-such")
            assert caught.value.response["Error"]["Code"] == "ValidationException"
        with pytest.raises(ClientError, match=r'Could not find model ".*:model/none-such"'):
            sagemaker.create_transform_job(**request("x", "none-such", jobs.images("a.jpg")))

    @pytest.mark.parametrize(
        ("members", "text"),
        [
            ({"MaxPayloadInMB": 0}, "MaxPayloadInMB must not be 0"),
            ({"MaxPayloadInMB": 101}, "MaxPayloadInMB must be at most 100, not 101"),
            ({"MaxPayloadInMB": 51, "MaxConcurrentTransforms": 2}, r"2 \* 51 = 102 MB"),
            ({"MaxConcurrentTransforms": 17}, r"17 \* 6 = 102 MB"),
            ({"Environment": {"LD_PRELOAD": "x"}}, "LD_PRELOAD"),
            ({"DataProcessing": {"JoinSource": "Input"}}, r"DataProcessing\.JoinSource Input"),
            ({"DataProcessing": {"OutputFilter": "$.a"}}, r"DataProcessing\.OutputFilter"),
            ({"TransformResources": resources(101)}, "InstanceCount must be at most 100"),
        ],
    )
    def test_refused(self, jobs: Jobs, members: dict[str, Any], text: str) -> None:
        """Values that AWS or the sandbox does not accept are refused, with the value found and the one wanted."""
        with pytest.raises(ClientError, match=text) as caught:
            jobs.sagemaker.create_transform_job(**request("x", jobs.model(), jobs.images("a.jpg"), **members))
        assert caught.value.response["Error"]["Code"] == "ValidationException"

    def test_quota(self, jobs: Jobs) -> None:
        """The jobs in progress on one instance type use no more instances than the quota."""
        name, prefix = jobs.model(seconds=30), jobs.images("a.jpg")
        used = resources(3, "ml.p3.2xlarge")
        jobs.create(name, prefix, TransformResources=used)
        with pytest.raises(ClientError) as caught:
            jobs.create(name, prefix, TransformResources=resources(2, "ml.p3.2xlarge"))
        error = caught.value.response["Error"]
        assert error["Code"] == "ResourceLimitExceeded"
        words = (
            "'ml.p3.2xlarge for transform job usage' is 4 Instances, with current utilization of 3 Instances"
        )
        assert words in error["Message"]

    def test_list(self, jobs: Jobs) -> None:
        """ListTransformJobs filters by name and status, sorts, and pages with tokens."""
        stub, prefix = jobs.model(), jobs.images("a.jpg")
        names = [jobs.create(stub, prefix) for _ in range(3)]
        for name in names:
            jobs.finished(name)
        sagemaker = jobs.sagemaker
        pages = sagemaker.get_paginator("list_transform_jobs").paginate(
            StatusEquals="Completed", SortBy="CreationTime", PaginationConfig={"PageSize": 1}
        )
        listed = [job["TransformJobName"] for page in pages for job in page["TransformJobSummaries"]]
        assert [name for name in listed if name in names] == names[::-1]
        (only,) = sagemaker.list_transform_jobs(NameContains=names[1])["TransformJobSummaries"]
        assert (only["TransformJobStatus"], "TransformEndTime" in only) == ("Completed", True)

    def test_tags_and_search(self, jobs: Jobs) -> None:
        """Tags are kept and changed; Search finds a job as the trial component that AWS creates for it."""
        name = jobs.create(jobs.model(), jobs.images("a.jpg"), Tags=[{"Key": "team", "Value": "maps"}])
        sagemaker, arn = jobs.sagemaker, jobs.finished(name)["TransformJobArn"]
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "year", "Value": "2026"}])
        tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        assert tags == {"team": "maps", "year": "2026"}
        wanted = [
            {"Name": "SourceDetail.TransformJob.TransformJobName", "Operator": "Equals", "Value": name},
            {"Name": "Tags.team", "Operator": "Equals", "Value": "maps"},
        ]
        answer = sagemaker.search(Resource="ExperimentTrialComponent", SearchExpression={"Filters": wanted})
        (result,) = answer["Results"]
        component = result["TrialComponent"]
        assert component["Source"] == {"SourceArn": arn, "SourceType": "SageMakerTransformJob"}
        assert component["SourceDetail"]["TransformJob"]["TransformJobStatus"] == "Completed"
