"""Compresses what goes out: zstd, brotli or gzip, whichever the client takes, for answers that are worth it.

Of BREACH, which guesses a secret from the lengths of compressed pages that hold it beside the attacker's own text: Django masks the CSRF
token anew in each page, every compressed answer carries a header of random length, and a page that answers a form, the only kind that shows
a key or a password, is not compressed.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django_http_compression.middleware import HttpCompressionMiddleware

WORTH_IT = 1_000
"""Bytes; a smaller answer fits into one packet as it is."""


class Compression(HttpCompressionMiddleware):
    def maybe_compress(self, request: HttpRequest, response: HttpResponseBase) -> None:
        if _is_worth_it(response) and not _may_show_a_secret(request, response):
            super().maybe_compress(request, response)


def _is_worth_it(response: HttpResponseBase) -> bool:
    """Streams are files, which WhiteNoise keeps compressed."""
    return not response.streaming and len(getattr(response, "content", b"")) >= WORTH_IT


def _may_show_a_secret(request: HttpRequest, response: HttpResponseBase) -> bool:
    is_page = response.get("Content-Type", "").startswith("text/html")
    return is_page and request.method not in ("GET", "HEAD")
