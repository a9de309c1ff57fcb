"""Import a training job that ran elsewhere: its description, its log and its use of the machine.

Everything is recorded data except the time: it is shifted so that the job ended just now, as CloudWatch Logs
refuses old events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.common.clients import Loopback
from sandbox.common.publish import publish
from sandbox.common.store import Document, RecordStore
from sandbox.training import cloudwatch
from sandbox.training.metrics import JobMetrics, MetricFinder, Point
from sandbox.training.opt_ml import HOST
from sandbox.training.run import LOG_GROUP
from sandbox.training.status import KIND

TIMES = ("CreationTime", "TrainingStartTime", "TrainingEndTime", "LastModifiedTime")
RECORDED_TAG = "segdeck:recorded"
MAX_EVENTS = 1000  # of one PutLogEvents

STAMP = re.compile(r"(?<=^\[)\d\d/\d\d/\d{4} \d\d:\d\d:\d\d(?= )")
STAMP_FORMAT = "%m/%d/%Y %H:%M:%S"
"""The time, in UTC, with which the algorithm begins a log line."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded job.

    document: the response of DescribeTrainingJob, with Tags; times are seconds since 1970.
    events:   (milliseconds since 1970, line) of its log, in order.
    usage:    (metric, seconds since 1970, percent) of the machine.
    """

    document: Document
    events: tuple[tuple[int, str], ...]
    usage: tuple[tuple[str, float, float], ...]

    @property
    def name(self) -> str:
        """Return the job's name."""
        name: str = self.document["TrainingJobName"]
        return name

    def to_json(self) -> str:
        """Return the text of a recording's file, one event per line."""
        events = ",\n".join(json.dumps(event, ensure_ascii=False) for event in self.events)
        document, usage = json.dumps(self.document, indent=1), json.dumps(self.usage)
        return f'{{"document": {document},\n"events": [\n{events}\n],\n"usage": {usage}}}\n'

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a recording. Raises OSError, ValueError or KeyError."""
        recording = json.loads(path.read_bytes())
        events = tuple((time, line) for time, line in recording["events"])
        return cls(
            recording["document"], events, tuple((name, at, value) for name, at, value in recording["usage"])
        )

    def ending(self, end: float) -> Recording:
        """Return the recording shifted in time, so that it ended at `end`."""
        shift = end - self.document["TrainingEndTime"]
        document = {**self.document}
        for name in TIMES:
            if name in document:
                document[name] += shift
        document["SecondaryStatusTransitions"] = [
            {name: value + shift if name.endswith("Time") else value for name, value in step.items()}
            for step in document.get("SecondaryStatusTransitions", ())
        ]
        document["FinalMetricDataList"] = [
            {**metric, "Timestamp": metric["Timestamp"] + shift}
            for metric in document.get("FinalMetricDataList", ())
        ]
        events = tuple((time + round(shift * 1000), _shifted(line, shift)) for time, line in self.events)
        return Recording(document, events, tuple((name, at + shift, value) for name, at, value in self.usage))


@dataclass(frozen=True, slots=True)
class Importer:
    """Imports recordings. arn: (kind, name) -> a resource's ARN in this account and region."""

    store: RecordStore
    metrics: JobMetrics
    loopback: Loopback
    arn: Callable[[str, str], str]

    def adopt(self, recording: Recording) -> bool:
        """Import a job; return False, and change nothing, when the name is taken."""
        name = recording.name
        document = {**recording.document, "TrainingJobArn": self.arn(KIND, name)}
        if not self.store.insert(KIND, name, document):
            return False
        self._log(recording)
        points = _points(recording)
        self.metrics.add(name, points)
        data = cloudwatch.metric_data(name, points) + _usage_data(recording)
        publish(self.loopback, cloudwatch.NAMESPACE, data)
        return True

    def _log(self, recording: Recording) -> None:
        """Put the job's log into CloudWatch Logs."""
        logs, name = self.loopback.client("logs"), recording.name
        stream = f"{name}/{HOST}-{int(recording.document['TrainingStartTime'])}"
        _unless_there(logs, logs.create_log_group, logGroupName=LOG_GROUP)
        place = {"logGroupName": LOG_GROUP, "logStreamName": stream}
        _unless_there(logs, logs.create_log_stream, **place)
        events = [{"timestamp": time, "message": line} for time, line in recording.events]
        for start in range(0, len(events), MAX_EVENTS):
            logs.put_log_events(**place, logEvents=events[start : start + MAX_EVENTS])


def _shifted(line: str, seconds: float) -> str:
    """Return a log line with the time that it begins with shifted as well."""
    return STAMP.sub(lambda stamp: _shifted_stamp(stamp[0], seconds), line)


def _shifted_stamp(stamp: str, seconds: float) -> str:
    at = datetime.strptime(stamp, STAMP_FORMAT).replace(tzinfo=UTC)
    return (at + timedelta(seconds=seconds)).strftime(STAMP_FORMAT)


def _points(recording: Recording) -> list[Point]:
    """Return the metrics that the job's own definitions find in its log."""
    finder = MetricFinder(recording.document["AlgorithmSpecification"].get("MetricDefinitions") or [])
    return [point for time, line in recording.events for point in finder.find(line, time / 1000)]


def _usage_data(recording: Recording) -> list[dict[str, Any]]:
    """Return the machine usage as CloudWatch data."""
    fixed = {"Dimensions": [{"Name": "Host", "Value": f"{recording.name}/{HOST}"}], "Unit": "Percent"}
    return [
        {**fixed, "MetricName": name, "Timestamp": at, "Value": value} for name, at, value in recording.usage
    ]


def _unless_there(logs: Any, create: Callable[..., Any], **members: str) -> None:
    """Create a log group or stream unless it exists."""
    try:
        create(**members)
    except logs.exceptions.ResourceAlreadyExistsException:
        return
