"""A collector for the tests: one key, one client, uploads in every form."""

from __future__ import annotations

import gzip
import json
from typing import Any

from django.test import Client

UPLOAD = "/api/collector/upload"


class Collector:
    """Sends to the API as an agent does. `send` returns the response, its JSON under `.data`."""

    def __init__(self, secret: str, **headers: str) -> None:
        self.headers = {"X-Collector-Key": secret, **headers}
        self.client = Client()

    def send(self, records: Any, *, url: str = UPLOAD, **headers: str) -> Any:
        """`records` as a gzip JSON body."""
        return self.post(gzip.compress(json.dumps(records).encode()), url=url, **{"Content-Encoding": "gzip", **headers})

    def post(self, body: bytes, *, url: str = UPLOAD, content_type: str = "application/octet-stream", **headers: str) -> Any:
        response = self.client.generic("POST", url, body, content_type, headers={**self.headers, **headers})
        response.data = json.loads(response.content)
        return response

    def get(self, url: str, **headers: str) -> Any:
        response = self.client.get(url, headers={**self.headers, **headers})
        response.data = json.loads(response.content)
        return response
