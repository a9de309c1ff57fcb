"""Settings from environment variables, all listed in one table, `VARIABLES`.

The environment is passed as an argument; nothing here reads the machine's own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from core.accounts import REGION, AccountChoice, AccountRole, parse_accounts
from core.errors import SettingsError
from core.imaging.pixel_budget import LIMIT
from core.origins import Origin, is_loopback, parse_origin

Mode = Literal["sandbox", "aws"]

PROJECT = Path(__file__).resolve().parents[1]
MB = 1_000_000
MAX_UPLOAD_MB = 25
MOST_UPLOAD_MB = 1024
RESULTS_MB, MOST_RESULTS_MB = 2000, 10_000_000
LEAST_IMAGE_MEMORY_MB, MOST_IMAGE_MEMORY_MB = 64, 1_000_000
AWS_SECONDS, MOST_AWS_SECONDS = 45, 600


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable that Segdeck reads.

    name:    as in the environment.
    meaning: one sentence.
    default: the value without it, in words.
    """

    name: str
    meaning: str
    default: str


VARIABLES = (
    Variable(
        "SEGDECK_MODE",
        "`sandbox` runs a local SageMaker on this machine; `aws` uses your account.",
        "sandbox",
    ),
    Variable("SEGDECK_SANDBOX_DIR", "The sandbox's folder: buckets, endpoints and logs.", ".sandbox"),
    Variable(
        "SEGDECK_STATE_DIR",
        "Segdeck's own folder: changes in progress, uploaded models, the list of datasets, runs with their images "
        "and responses, and predictions for the 20 most recently evaluated endpoints or endpoint pairs.",
        ".segdeck",
    ),
    Variable(
        "SEGDECK_RESULTS_MB",
        "Disk space for runs, in megabytes: their images, responses and scores. Above it, the oldest probabilities "
        "are removed first, then the oldest runs. `0` stores no runs.",
        str(RESULTS_MB),
    ),
    Variable(
        "SEGDECK_MAX_UPLOAD_MB",
        "Maximum image size for upload, in megabytes.",
        str(MAX_UPLOAD_MB),
    ),
    Variable(
        "SEGDECK_IMAGE_MEMORY_MB",
        "Memory for decoded images per process, in megabytes; images wait until enough is free.",
        str(LIMIT // MB),
    ),
    Variable(
        "SEGDECK_ALLOWED_ORIGINS",
        "Public origins of the dashboard behind a reverse proxy, separated by commas, such as "
        "`https://segdeck.example.com`.",
        "only the address it listens on",
    ),
    Variable(
        "SEGDECK_ALLOW_ANONYMOUS",
        "`1` lets the dashboard listen on a network, where anyone who can reach it acts with your AWS credentials.",
        "this machine only",
    ),
    Variable(
        "SEGDECK_ACCOUNTS",
        "Roles to assume, offered next to the profiles, separated by spaces: "
        "`NAME=ROLE_ARN;regions=R1,R2;profile=P;external_id=X`.",
        "none",
    ),
    Variable(
        "SEGDECK_WEBHOOK_URL",
        "Gets a JSON document when a training job ends or an endpoint becomes idle: an HTTPS URL, or HTTP on this "
        "machine.",
        "no notifications",
    ),
    Variable("AWS_REGION", "The region, in mode `aws`.", "AWS_DEFAULT_REGION"),
    Variable("AWS_DEFAULT_REGION", "The region if AWS_REGION is not set.", "the profile's region"),
    Variable("AWS_PROFILE", "The profile of ~/.aws to use, in mode `aws`.", "the AWS credential chain"),
    Variable(
        "AWS_ENDPOINT_URL", "Another endpoint URL that speaks the AWS protocol, in mode `aws`.", "AWS itself"
    ),
    Variable(
        "SEGDECK_AWS_SECONDS",
        "Time limit for one AWS call in seconds, retries included, in mode `aws`.",
        str(AWS_SECONDS),
    ),
)
"""Every variable that Segdeck reads. botocore also reads its own: keys, tokens, proxies, certificates."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings from the environment.

    mode:             `sandbox` or `aws`.
    region:           None: the profile's (mode `aws`) or the sandbox's.
    profile:          None: the AWS credential chain.
    aws_url:          None: AWS itself.
    sandbox_dir:      absolute; need not exist.
    state_dir:        absolute; need not exist; holds the journal of changes.
    max_upload_bytes: the largest image that can be uploaded.
    results_bytes:    for stored runs; 0: none are stored.
    image_memory_bytes: for decoded images per process.
    aws_seconds:      time limit for one AWS call, retries included.
    accounts:         roles to assume that a user can choose.
    webhook_url:      gets notifications; empty for none. It may contain a secret, so no `repr` shows it.
    """

    mode: Mode = "sandbox"
    region: str | None = None
    profile: str | None = None
    aws_url: str | None = None
    sandbox_dir: Path = PROJECT / ".sandbox"
    state_dir: Path = PROJECT / ".segdeck"
    max_upload_bytes: int = MAX_UPLOAD_MB * MB
    results_bytes: int = RESULTS_MB * MB
    image_memory_bytes: int = LIMIT
    aws_seconds: int = AWS_SECONDS
    accounts: tuple[AccountRole, ...] = ()
    webhook_url: str = field(default="", repr=False)

    @property
    def journal_dir(self) -> Path:
        """Return the folder of the change journal of the default account: names are only valid within an account."""
        parts = ["sandbox"]
        if self.mode == "aws":
            parts = ["aws", self.aws_url or "", self.profile or "", self.region or ""]
        return self.state_dir / re.sub(r"[^\w.-]+", "_", "-".join(filter(None, parts)))

    def datasets_dir_of(self, choice: AccountChoice) -> Path:
        """Return the folder of the list of datasets, which has S3 prefixes: one per account and region."""
        return self.state_dir / "datasets" / self.journal_dir_of(choice).relative_to(self.state_dir)

    def runs_dir_of(self, choice: AccountChoice) -> Path:
        """Return the folder of the stored runs of a chosen account and region."""
        return self.journal_dir_of(choice) / "runs"

    def journal_dir_of(self, choice: AccountChoice) -> Path:
        """Return the folder of the change journal of a chosen account and region."""
        if choice == AccountChoice():
            return self.journal_dir
        # With a hash: two profiles may differ only in characters that a file name cannot have.
        digest = hashlib.blake2b(choice.token.encode(), digest_size=6).hexdigest()
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", choice.token)[:80]
        return self.journal_dir / "accounts" / f"{name}-{digest}"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read `VARIABLES`; an empty value counts as not set. Raises SettingsError, naming the variable."""
        values = {name: environ.get(name, "").strip() for name in (variable.name for variable in VARIABLES)}
        region_from = "AWS_REGION" if values["AWS_REGION"] else "AWS_DEFAULT_REGION"
        return cls(
            mode=_mode(values["SEGDECK_MODE"]),
            region=_region(region_from, values[region_from]),
            profile=values["AWS_PROFILE"] or None,
            aws_url=_url(values["AWS_ENDPOINT_URL"]),
            sandbox_dir=_folder(values["SEGDECK_SANDBOX_DIR"] or ".sandbox"),
            state_dir=_folder(values["SEGDECK_STATE_DIR"] or ".segdeck"),
            max_upload_bytes=MB * _whole(values, "SEGDECK_MAX_UPLOAD_MB", MAX_UPLOAD_MB, 1, MOST_UPLOAD_MB),
            results_bytes=MB * _whole(values, "SEGDECK_RESULTS_MB", RESULTS_MB, 0, MOST_RESULTS_MB),
            image_memory_bytes=MB
            * _whole(
                values, "SEGDECK_IMAGE_MEMORY_MB", LIMIT // MB, LEAST_IMAGE_MEMORY_MB, MOST_IMAGE_MEMORY_MB
            ),
            aws_seconds=_whole(values, "SEGDECK_AWS_SECONDS", AWS_SECONDS, 1, MOST_AWS_SECONDS),
            accounts=parse_accounts(values["SEGDECK_ACCOUNTS"]),
            webhook_url=_webhook(values["SEGDECK_WEBHOOK_URL"]),
        )


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may open the dashboard. Separate from `Settings`: an invalid value here must prevent the start.

    allowed_origins: public origins of this dashboard, in addition to the address it listens on.
    allow_anonymous: whether it may listen beyond this machine without a sign-in.
    """

    allowed_origins: tuple[Origin, ...] = ()
    allow_anonymous: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> AccessSettings:
        """Read the two variables; an empty value counts as not set. Raises SettingsError, naming the variable."""
        return cls(
            allowed_origins=_origins(environ.get("SEGDECK_ALLOWED_ORIGINS", "")),
            allow_anonymous=_switch(
                "SEGDECK_ALLOW_ANONYMOUS", environ.get("SEGDECK_ALLOW_ANONYMOUS", "").strip()
            ),
        )


def _origins(text: str) -> tuple[Origin, ...]:
    origins = []
    for entry in text.replace(",", " ").split():
        try:
            origins.append(parse_origin(entry))
        except ValueError as error:
            raise SettingsError(
                f"The environment variable SEGDECK_ALLOWED_ORIGINS has the entry {entry!r}, which is not an origin.",
                why=f"{error}.",
                todo="Use the scheme, the host and, where it is not the default, the port: "
                "https://segdeck.example.com or https://segdeck.example.com:8443.",
            ) from error
    return tuple(dict.fromkeys(origins))


def _switch(name: str, text: str) -> bool:
    if text not in {"", "0", "1"}:
        raise _bad(name, text, "Set it to 1, or unset it.")
    return text == "1"


def _folder(text: str) -> Path:
    return (PROJECT / Path(text).expanduser()).resolve()


def _mode(text: str) -> Mode:
    lowered = text.lower()
    if lowered in {"", "sandbox"}:
        return "sandbox"
    if lowered == "aws":
        return "aws"
    raise _bad("SEGDECK_MODE", text, "Set it to sandbox or aws.")


def _region(name: str, text: str) -> str | None:
    if text and not REGION.fullmatch(text):
        raise _bad(name, text, "Set it to a region code such as eu-west-1.")
    return text or None


def _url(text: str) -> str | None:
    if not text:
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # from urlsplit, for an invalid port or address
        usable = False
    if not usable:
        raise _bad("AWS_ENDPOINT_URL", text, "Set it to a URL such as http://127.0.0.1:4566, or unset it.")
    return text.rstrip("/")


def _webhook(text: str) -> str:
    """Return the URL: HTTPS, or HTTP on this machine. An error does not contain it: it may be a secret."""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # an invalid port or address
        raise _bad_webhook("it is not a URL") from None
    if not host or port == 0 or not text.isascii() or any(sign <= " " for sign in text):
        raise _bad_webhook("it is not a URL")
    if parts.username is not None or parts.password is not None:
        raise _bad_webhook("it contains a user name or a password, which is not supported")
    if parts.scheme not in {"http", "https"}:
        raise _bad_webhook("its scheme is neither https nor http")
    if parts.scheme == "http" and not is_loopback(host):
        raise _bad_webhook("it is plain HTTP to another machine")
    return text


def _bad_webhook(why: str) -> SettingsError:
    return SettingsError(
        f"The environment variable SEGDECK_WEBHOOK_URL cannot be used: {why}.",
        why="Its value is not shown, because it may be a secret.",
        todo="Set it to an HTTPS URL, or to an HTTP URL on this machine such as http://127.0.0.1:9000/, or unset it.",
    )


def _whole(values: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    if not (text := values[name]):
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not least <= int(text) <= most:
        raise _bad(name, text, f"Set it to a whole number from {least} to {most}.")
    return int(text)


def _bad(name: str, value: str, todo: str) -> SettingsError:
    return SettingsError(f"The environment variable {name} is {value!r}, which cannot be used.", todo=todo)
