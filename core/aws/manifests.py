"""Read the augmented manifests of a training job, and check the buckets and objects that they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.aws.access import bucket_region
from core.aws.connection import Clients
from core.aws.storage import get_bytes
from core.aws.training import NO_ANSWER
from core.errors import AwsError, InputError, NotFoundError
from core.s3_uri import split_uri
from core.text import plural
from core.training.channels import Channel
from core.training.hyperparameters import Problem
from core.training.job import TrainingSpec
from core.training.manifest import OBJECT_URI, ManifestFile, read_manifest

MAX_MANIFEST = 30_000_000
"""Maximum bytes of a manifest: some 50,000 lines with their metadata."""

SAMPLED = 3
"""Lines of a manifest whose objects are looked up: the first, the last and one between them."""

MAX_BUCKETS = 5


@dataclass(frozen=True, slots=True)
class ManifestReading:
    """The augmented manifests of a job.

    files:    channel -> its manifest, for those that were read.
    problems: with the manifests' objects and buckets; those with their lines are found by `core.training.manifest`.
    notes:    sentences on what could not be checked.
    """

    files: Mapping[str, ManifestFile] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def fetch_manifest(clients: Clients, uri: str) -> ManifestFile:
    """Return the manifest at an S3 URI. Raises InputError for the URI, TooLargeError, AwsError."""
    return read_manifest(get_bytes(clients, uri, max_bytes=MAX_MANIFEST))


def read_manifests(clients: Clients, spec: TrainingSpec) -> ManifestReading:
    """Read the manifests of a job, and check that what they name exists in the job's region.

    The objects of a few lines are looked up, not all of them.
    """
    reader = _Reader(clients)
    try:
        for channel in spec.channels:
            if channel.is_manifest and OBJECT_URI.fullmatch(channel.uri):
                reader.read(channel)
        reader.check_buckets()
        for channel in spec.channels:
            if channel.name in reader.files:
                reader.check_objects(channel)
    except NO_ANSWER as error:
        reader.notes.append(f"The augmented manifests were not fully checked. {error}")
    return ManifestReading(reader.files, tuple(reader.problems), tuple(reader.notes))


class _Reader:
    """Collects the manifests, the problems and the notes of one job. Its methods raise the errors of `NO_ANSWER`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self.files: dict[str, ManifestFile] = {}
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self._buckets: dict[str, tuple[Channel, Counter[str]]] = {}
        self._unusable: set[str] = set()

    def read(self, channel: Channel) -> None:
        """Read a channel's manifest."""
        try:
            manifest = fetch_manifest(self._clients, channel.uri)
        except NotFoundError as error:
            text = f"Could not read the manifest {channel.uri}. {error} Correct the S3 URI."
            self.problems.append(Problem(channel.name, text))
            return
        except NO_ANSWER:
            raise
        except (AwsError, InputError) as error:
            self.notes.append(f"The manifest of the channel {channel.name} was not checked. {error}")
            return
        self.files[channel.name] = manifest
        named = Counter({split_uri(channel.uri)[0]: 0})
        for attribute in channel.attributes:
            named.update(split_uri(uri)[0] for uri in _valid(manifest, attribute))
        self._buckets[channel.name] = (channel, named)

    def check_buckets(self) -> None:
        """Check that every bucket exists in the job's region, from which alone SageMaker reads."""
        checked: dict[str, str] = {}
        for channel, named in self._buckets.values():
            for bucket, count in named.most_common():
                if bucket not in checked and len(checked) < MAX_BUCKETS:
                    checked[bucket] = self._bucket_problem(bucket)
                if problem := checked.get(bucket):
                    self._unusable.add(bucket)
                    uris = plural(count, "S3 URI", grouping="")
                    where = (
                        f"{uris} of {channel.uri} {_are(count)} in it." if count else f"It has {channel.uri}."
                    )
                    self.problems.append(Problem(channel.name, f"{problem} {where}"))
        total = len({bucket for _, named in self._buckets.values() for bucket in named})
        if total > len(checked):
            self.notes.append(f"Of {total} buckets in the manifests, {len(checked)} were checked.")

    def _bucket_problem(self, bucket: str) -> str:
        """Return what is wrong with a bucket; empty if nothing is, or if it is unknown."""
        try:
            region = bucket_region(self._clients, bucket)
        except NotFoundError:
            return f"Could not find the bucket {bucket}."
        except NO_ANSWER:
            raise
        except AwsError as error:
            self.notes.append(f"Segdeck did not check the region of the bucket {bucket}. {error}")
            return ""
        wanted = self._clients.connection.region
        if not region or region == wanted:
            return ""
        return (
            f"The bucket {bucket} is in {region}, and the job runs in {wanted}: SageMaker reads data only from its "
            "own region. Copy the data, or train in that region."
        )

    def check_objects(self, channel: Channel) -> None:
        """Look up the objects of a few lines."""
        manifest = self.files[channel.name]
        for attribute in channel.attributes:
            for uri in _sample(list(_valid(manifest, attribute))):
                bucket, key = split_uri(uri)
                if bucket in self._unusable:
                    continue
                try:
                    with self._clients.calling(f"look up {uri}"):
                        self._clients.s3.head_object(Bucket=bucket, Key=key)
                except NotFoundError:
                    text = f"{attribute} of {channel.uri} names {uri}, which does not exist. Upload or correct it."
                    self.problems.append(Problem(channel.name, text))
                    break
                except NO_ANSWER:
                    raise
                except AwsError as error:
                    self.notes.append(
                        f"Whether the objects of {attribute} in {channel.uri} can be read was not checked: the job's "
                        f"role must be able to. {error}"
                    )
                    break


def _valid(manifest: ManifestFile, attribute: str) -> Iterator[str]:
    return (uri for uri in manifest.uris(attribute) if OBJECT_URI.fullmatch(uri))


def _sample(uris: Sequence[str]) -> list[str]:
    """Return up to SAMPLED of them, evenly spread, with the first and the last."""
    if len(uris) <= SAMPLED:
        return list(uris)
    last = len(uris) - 1
    return [uris[last * number // (SAMPLED - 1)] for number in range(SAMPLED)]


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
