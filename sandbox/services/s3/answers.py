"""Build the responses of S3."""

from __future__ import annotations

from werkzeug.wrappers import Response

from sandbox.services.s3.xml import Elements, document


class S3Response(Response):
    """werkzeug's response without a default content type."""

    default_mimetype = None


def answer(name: str, content: Elements) -> S3Response:
    """Return a 200 response with an XML document."""
    return S3Response(document(name, content), content_type="application/xml")
