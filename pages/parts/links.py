"""The pages' files, for links from one page to another."""

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
