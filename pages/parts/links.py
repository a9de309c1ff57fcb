"""The pages' files, for links from one page to another; and the addresses of AWS's console."""

from __future__ import annotations

from pathlib import Path

PAGES = Path(__file__).resolve().parents[1]
OVERVIEW = PAGES / "overview.py"
SETUP = PAGES / "setup.py"
TRAINING_JOBS = PAGES / "training_jobs.py"
TRAINING_JOB = PAGES / "training_job.py"
LAUNCH_TRAINING = PAGES / "launch_training.py"
EVALUATE = PAGES / "evaluate.py"
DATASETS = PAGES / "datasets.py"
ENDPOINTS = PAGES / "endpoints.py"
ENDPOINT = PAGES / "endpoint.py"
DEPLOY = PAGES / "deploy.py"
SEGMENT = PAGES / "segment.py"


def s3_console(uri: str, region: str) -> str:
    """The page of AWS's console about an object or prefix in S3."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    kind = "object" if key and not key.endswith("/") and key.endswith(".gz") else "buckets"
    return f"https://{region}.console.aws.amazon.com/s3/{kind}/{bucket}?region={region}&prefix={key}"
