"""The sandbox's S3, through boto3 on loopback."""

from __future__ import annotations

import base64
import hashlib
import http.client
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.http.server import Listener, bind
from sandbox.services.s3 import S3
from tests.support.patience import SECONDS


@dataclass(frozen=True)
class Served:
    """A running S3: its address, its directory and a client."""

    port: int
    root: Path
    client: Any


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("s3")
    app, sock = S3(root, "us-east-1"), bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    listener = Listener(app, sock)
    threading.Thread(target=listener.serve_forever, args=[0.02], daemon=True).start()
    yield Served(port, root, _client(port))
    listener.stop()
    app.close()


@pytest.fixture
def s3(served: Served) -> Any:
    return served.client


@pytest.fixture
def bucket(served: Served, request: pytest.FixtureRequest) -> str:
    name = "b-" + hashlib.md5(request.node.name.encode()).hexdigest()
    served.client.create_bucket(Bucket=name)
    return name


def _client(port: int) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )


def _code(raised: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = raised.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def _ask(served: Served, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=SECONDS)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    response = connection.getresponse()
    return response.status, response.read()


class TestObjects:
    @pytest.mark.parametrize(
        "key",
        [
            "plain",
            "a b+c%d",
            "x//y",
            "/lead",
            "../up",
            "a/../b",
            "é/ü 漢字 🛰",
            "q?x=1&y#z",
            "tab\there",
            "%2F",
            ".",
        ],
    )
    def test_any_key(self, s3: Any, bucket: str, key: str) -> None:
        """An object is found under any key, alone, and the listing spells the key the same."""
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0

    def test_key_is_no_path(self, served: Served, bucket: str) -> None:
        """A key with `..` creates no file outside of the store's directory."""
        before = sorted(served.root.parent.iterdir())
        served.client.put_object(Bucket=bucket, Key="../../../escaped", Body=b"x")
        assert sorted(served.root.parent.iterdir()) == before

    def test_metadata_names(self, s3: Any, bucket: str) -> None:
        """Metadata keeps its names, including underscores, and the content headers are returned."""
        s3.put_object(
            Bucket=bucket,
            Key="k",
            Metadata={"my_key": "1", "my-key": "2"},
            ContentType="image/png",
            CacheControl="no-store",
        )
        head = s3.head_object(Bucket=bucket, Key="k")
        assert head["Metadata"] == {"my_key": "1", "my-key": "2"}
        assert (head["ContentType"], head["CacheControl"], head["ContentLength"]) == (
            "image/png",
            "no-store",
            0,
        )

    @pytest.mark.parametrize(
        ("header", "wanted", "content_range"),
        [
            ("bytes=0-0", b"0", "bytes 0-0/10"),
            ("bytes=3-5", b"345", "bytes 3-5/10"),
            ("bytes=7-", b"789", "bytes 7-9/10"),
            ("bytes=7-99", b"789", "bytes 7-9/10"),
            ("bytes=-4", b"6789", "bytes 6-9/10"),
            ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ],
    )
    def test_range(self, s3: Any, bucket: str, header: str, wanted: bytes, content_range: str) -> None:
        """A range returns exactly its bytes and Content-Range."""
        s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
        answer = s3.get_object(Bucket=bucket, Key="k", Range=header)
        assert (answer["Body"].read(), answer["ContentRange"]) == (wanted, content_range)

    def test_range_beyond_the_end(self, s3: Any, bucket: str) -> None:
        """A range that starts at or after the end is refused with 416."""
        s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
        with pytest.raises(ClientError) as raised:
            s3.get_object(Bucket=bucket, Key="k", Range="bytes=10-")
        assert _code(raised) == ("InvalidRange", 416)

    def test_conditions(self, s3: Any, bucket: str) -> None:
        """If-Match and If-None-Match decide as RFC 9110 says, for reading and for writing."""
        etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
        assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag)["Body"].read() == b"1"
        for wanted, call in {
            ("304", 304): lambda: s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=etag),
            ("PreconditionFailed", 412): lambda: s3.get_object(Bucket=bucket, Key="k", IfMatch='"no"'),
        }.items():
            with pytest.raises(ClientError) as raised:
                call()
            assert _code(raised) == wanted
        with pytest.raises(ClientError) as raised:
            s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
        assert _code(raised) == ("PreconditionFailed", 412)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"

    def test_copy(self, s3: Any, bucket: str) -> None:
        """A copy has the source's bytes and metadata, or new metadata on request."""
        s3.put_object(Bucket=bucket, Key="from é+", Body=b"data", Metadata={"a": "1"})
        source = {"Bucket": bucket, "Key": "from é+"}
        s3.copy_object(Bucket=bucket, Key="to", CopySource=source)
        s3.copy_object(
            Bucket=bucket, Key="new", CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"}
        )
        s3.delete_object(Bucket=bucket, Key="from é+")
        assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == b"data"
        assert s3.head_object(Bucket=bucket, Key="to")["Metadata"] == {"a": "1"}
        assert s3.head_object(Bucket=bucket, Key="new")["Metadata"] == {"b": "2"}

    def test_tags(self, s3: Any, bucket: str) -> None:
        """Tags set at the upload or later are returned, and can be removed."""
        s3.put_object(Bucket=bucket, Key="k", Tagging="a=1&b=x%20y")
        assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [
            {"Key": "a", "Value": "1"},
            {"Key": "b", "Value": "x y"},
        ]
        s3.delete_object_tagging(Bucket=bucket, Key="k")
        assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []

    def test_reader_keeps_the_old_bytes(self, s3: Any, bucket: str) -> None:
        """A download in progress stays complete when the object is replaced."""
        old = b"o" * (8 << 20)
        s3.put_object(Bucket=bucket, Key="k", Body=old)
        body = s3.get_object(Bucket=bucket, Key="k")["Body"]
        first = body.read(10)
        s3.put_object(Bucket=bucket, Key="k", Body=b"new")
        assert first + body.read() == old


class TestPromises:
    """Digests and lengths declared by a client are verified; a mismatch leaves the old object."""

    @pytest.mark.parametrize(
        ("header", "value", "code"),
        [
            ("content_md5", base64.b64encode(b"0" * 16).decode(), b"BadDigest"),
            ("content_md5", "short", b"InvalidDigest"),
            ("x_amz_content_sha256", "0" * 64, b"XAmzContentSHA256Mismatch"),
            ("x_amz_content_sha256", "ABC", b"InvalidArgument"),
            ("x_amz_checksum_crc32", "AAAAAA==", b"BadDigest"),
            ("x_amz_checksum_sha1", "AAAA", b"BadDigest"),
            ("x_amz_checksum_sha256", "AAAA", b"BadDigest"),
        ],
    )
    def test_bad_digest(self, served: Served, bucket: str, header: str, value: str, code: bytes) -> None:
        """Each wrong digest refuses the upload; the old object stays."""
        served.client.put_object(Bucket=bucket, Key="k", Body=b"old")
        status, answer = _ask(served, "PUT", f"/{bucket}/k", b"new", **{header: value})
        assert status == 400
        assert b"<Code>" + code + b"</Code>" in answer
        assert served.client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"

    def test_checksum_is_returned(self, s3: Any, bucket: str) -> None:
        """boto3's own CRC32 is stored, returned, and verified by boto3 when reading."""
        s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
        head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert head["ChecksumCRC32"] == base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()

    @pytest.mark.parametrize("good", [True, False])
    def test_trailer(self, served: Served, bucket: str, good: bool) -> None:
        """An aws-chunked body is unframed, with or without chunk signatures, and its trailer is verified."""
        data = b"hello, chunked world"
        crc = base64.b64encode(zlib.crc32(data if good else b"other").to_bytes(4, "big"))
        framed = b"5\r\nhello\r\nf;chunk-signature=abc\r\n" + data[5:] + b"\r\n0\r\nx-amz-checksum-crc32:"
        status, answer = _ask(
            served,
            "PUT",
            f"/{bucket}/k",
            framed + crc + b"\r\n\r\n",
            content_encoding="aws-chunked",
            x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            x_amz_trailer="x-amz-checksum-crc32",
            x_amz_decoded_content_length=str(len(data)),
        )
        listed = served.client.list_objects_v2(Bucket=bucket)["KeyCount"]
        assert (status, listed) == ((200, 1) if good else (400, 0)), answer
        if good:
            got = served.client.get_object(Bucket=bucket, Key="k")
            assert (got["Body"].read(), got.get("ContentEncoding")) == (data, None)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"5\r\nhel",
            b"zz\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello!\r\n0\r\n\r\n",
            b"4\r\nhell\r\n0\r\n\r\n",
        ],
    )
    def test_broken_frames(self, served: Served, bucket: str, body: bytes) -> None:
        """A truncated or malformed aws-chunked body is refused and nothing is stored."""
        status, answer = _ask(
            served,
            "PUT",
            f"/{bucket}/k",
            body,
            content_encoding="aws-chunked",
            x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            x_amz_decoded_content_length="5",
        )
        assert (status, b"<Code>IncompleteBody</Code>" in answer) == (400, True)
        assert served.client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0

    def test_transfer_encoding_chunked(self, served: Served, bucket: str) -> None:
        """A body in HTTP's own chunked encoding, without a known length, is stored completely."""
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=SECONDS)
        connection.request("PUT", f"/{bucket}/k", iter([b"one", b"two"]), encode_chunked=True)
        assert connection.getresponse().status == 200
        assert served.client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"onetwo"


class TestRefusals:
    @pytest.mark.parametrize(
        ("call", "wanted"),
        [
            (lambda s3, b: s3.get_object(Bucket=b, Key="no"), ("NoSuchKey", 404)),
            (lambda s3, b: s3.get_object(Bucket=b, Key="no \x01"), ("NoSuchKey", 404)),
            (lambda s3, _: s3.get_object(Bucket="no-such", Key="k"), ("NoSuchBucket", 404)),
            (lambda s3, _: s3.list_objects_v2(Bucket="no-such"), ("NoSuchBucket", 404)),
            (lambda s3, _: s3.delete_object(Bucket="no-such", Key="k"), ("NoSuchBucket", 404)),
            (lambda s3, _: s3.create_bucket(Bucket="Not_Allowed"), ("InvalidBucketName", 400)),
            (lambda s3, b: s3.get_bucket_acl(Bucket=b), ("NotImplemented", 501)),
            (lambda s3, b: s3.put_object(Bucket=b, Key="é" * 600), ("KeyTooLongError", 400)),
            (lambda s3, _: s3.head_bucket(Bucket="no-such"), ("404", 404)),
            (lambda s3, b: s3.list_parts(Bucket=b, Key="k", UploadId="no"), ("NoSuchUpload", 404)),
        ],
    )
    def test_code(self, s3: Any, bucket: str, call: Any, wanted: tuple[str, int]) -> None:
        """Each error has AWS's code and status."""
        with pytest.raises(ClientError) as raised:
            call(s3, bucket)
        assert _code(raised) == wanted

    @pytest.mark.parametrize("path", ["/bucket/%FF", "/bucket?prefix=%FF"])
    def test_not_utf8(self, served: Served, path: str) -> None:
        """A path that is not UTF-8 is refused."""
        status, answer = _ask(served, "GET", path)
        assert (status, b"<Code>InvalidURI</Code>" in answer) == (400, True)

    def test_large_body_to_a_missing_bucket(self, s3: Any) -> None:
        """An early error reaches a client that is still sending as a response, not as a reset."""
        with pytest.raises(ClientError) as raised:
            s3.put_object(Bucket="no-such", Key="k", Body=bytes(32 << 20))
        assert _code(raised) == ("NoSuchBucket", 404)

    def test_bucket_with_objects(self, s3: Any, bucket: str) -> None:
        """Only an empty bucket can be deleted."""
        s3.put_object(Bucket=bucket, Key="k")
        with pytest.raises(ClientError) as raised:
            s3.delete_bucket(Bucket=bucket)
        assert _code(raised) == ("BucketNotEmpty", 409)
        s3.delete_object(Bucket=bucket, Key="k")
        s3.delete_bucket(Bucket=bucket)
        assert bucket not in [item["Name"] for item in s3.list_buckets()["Buckets"]]


class TestMultipart:
    def test_upload_and_download_file(self, s3: Any, bucket: str, tmp_path: Path) -> None:
        """A 20 MB file is uploaded in 8 MB parts, downloaded unchanged, and its entity tag counts the parts."""
        data = hashlib.shake_128(b"seed").digest(20 << 20)
        (tmp_path / "up").write_bytes(data)
        config = TransferConfig(multipart_chunksize=8 << 20, multipart_threshold=8 << 20)
        s3.upload_file(str(tmp_path / "up"), bucket, "big", Config=config)
        s3.download_file(bucket, "big", str(tmp_path / "down"), Config=config)
        assert (tmp_path / "down").read_bytes() == data
        head = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
        assert head["ETag"].endswith('-3"')
        assert (head["ChecksumCRC32"][-2:], head["ChecksumType"]) == ("-3", "COMPOSITE")
        assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []

    def test_copied_parts(self, s3: Any, bucket: str) -> None:
        """A part may be a range of another object; parts are listed as uploaded."""
        s3.put_object(Bucket=bucket, Key="from", Body=b"0123456789")
        upload = s3.create_multipart_upload(Bucket=bucket, Key="to")["UploadId"]
        there = {"Bucket": bucket, "Key": "to", "UploadId": upload}
        source = {"Bucket": bucket, "Key": "from"}
        etag = s3.upload_part_copy(**there, PartNumber=4, CopySource=source, CopySourceRange="bytes=2-5")
        listed = s3.list_parts(**there)["Parts"]
        assert [(part["PartNumber"], part["Size"]) for part in listed] == [(4, 4)]
        parts = [{"PartNumber": 4, "ETag": etag["CopyPartResult"]["ETag"]}]
        s3.complete_multipart_upload(**there, MultipartUpload={"Parts": parts})
        assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == b"2345"

    def test_refusals(self, s3: Any, bucket: str) -> None:
        """Parts out of order, missing, or too small are refused; after an abort the upload does not exist."""
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        there = {"Bucket": bucket, "Key": "k", "UploadId": upload}
        tags = {n: s3.upload_part(**there, PartNumber=n, Body=bytes([n]))["ETag"] for n in (1, 2)}
        for numbers, wanted in (
            ([2, 1], "InvalidPartOrder"),
            ([1, 3], "InvalidPart"),
            ([1, 2], "EntityTooSmall"),
        ):
            parts = [{"PartNumber": n, "ETag": tags.get(n, '"x"')} for n in numbers]
            with pytest.raises(ClientError) as raised:
                s3.complete_multipart_upload(**there, MultipartUpload={"Parts": parts})
            assert _code(raised) == (wanted, 400)
        s3.abort_multipart_upload(**there)
        with pytest.raises(ClientError) as raised:
            s3.upload_part(**there, PartNumber=1, Body=b"x")
        assert _code(raised) == ("NoSuchUpload", 404)


class TestListing:
    @pytest.mark.parametrize("call", ["list_objects", "list_objects_v2"])
    @pytest.mark.parametrize("size", [1, 2, 3, 1000])
    def test_pages(self, s3: Any, bucket: str, call: str, size: int) -> None:
        """Keys and common prefixes are listed once each, in UTF-8 order, however small the pages."""
        keys = ["a", "a/1", "a/2", "b&<c", "b/x/1", "b/y", "z/", "z/1", "é/1", "￿", "🛰"]
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key)
        pages = list(
            s3.get_paginator(call).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size})
        )
        listed = [item["Key"] for page in pages for item in page.get("Contents", [])]
        common = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
        assert (listed, common) == (["a", "b&<c", "￿", "🛰"], ["a/", "b/", "z/", "é/"])

    def test_start_after(self, s3: Any, bucket: str) -> None:
        """start-after starts after a key, whether it exists or not."""
        for key in ("a", "b", "c"):
            s3.put_object(Bucket=bucket, Key=key)
        listed = s3.list_objects_v2(Bucket=bucket, StartAfter="aa", FetchOwner=True)
        assert [item["Key"] for item in listed["Contents"]] == ["b", "c"]
        assert listed["Contents"][0]["Owner"]["ID"] == "sandbox"


class TestEncryption:
    def test_key_is_returned(self, s3: Any, bucket: str) -> None:
        """An upload's encryption is returned by the upload, by HeadObject and by GetObject."""
        asked = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1"}
        assert _encryption(s3.put_object(Bucket=bucket, Key="kms", Body=b"x", **asked)) == asked
        assert _encryption(s3.head_object(Bucket=bucket, Key="kms")) == asked
        assert _encryption(s3.get_object(Bucket=bucket, Key="kms")) == asked
        assert _encryption(s3.create_multipart_upload(Bucket=bucket, Key="parts", **asked)) == asked
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/kms")
        assert _encryption(s3.head_object(Bucket=bucket, Key="copy")) == {}

    def test_default_of_a_bucket(self, s3: Any, bucket: str) -> None:
        """GetBucketEncryption reports AWS's default, SSE-S3."""
        rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert [rule["ApplyServerSideEncryptionByDefault"] for rule in rules] == [{"SSEAlgorithm": "AES256"}]

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({"SSEKMSKeyId": "key-1"}, "InvalidArgument"),
            ({"ServerSideEncryption": "rot13"}, "InvalidArgument"),
            ({"ACL": "public-read"}, "AccessControlListNotSupported"),
            ({"StorageClass": "GLACIER"}, "InvalidStorageClass"),
            ({"WebsiteRedirectLocation": "/elsewhere"}, "NotImplemented"),
            ({"ObjectLockLegalHoldStatus": "ON"}, "NotImplemented"),
        ],
    )
    def test_refused_header(self, s3: Any, bucket: str, headers: dict[str, str], code: str) -> None:
        """A header whose effect the sandbox lacks is refused, and nothing is stored."""
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket=bucket, Key="refused", Body=b"x", **headers)
        assert caught.value.response["Error"]["Code"] == code
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="refused")


def _encryption(answer: dict[str, Any]) -> dict[str, str]:
    """Return the members of a response that report encryption."""
    return {name: answer[name] for name in ("ServerSideEncryption", "SSEKMSKeyId") if name in answer}
