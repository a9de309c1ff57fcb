"""Answers of S3."""

from __future__ import annotations

from werkzeug.wrappers import Response

from sandbox.services.s3.xml import Elements, document


class Answer(Response):
    """werkzeug's response without a content type of its own."""

    default_mimetype = None


def answer(name: str, content: Elements) -> Answer:
    """A 200 with an XML document."""
    return Answer(document(name, content), content_type="application/xml")
