"""`/metrics`: what every process of this machine counted, and what the database says at the moment, for Prometheus.

Whoever knows HASHINSIGHT_METRICS_TOKEN may read it; without a token set, only this machine itself.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from hashinsight.gauges import collect_gauges
from resilience.metric_files import fold_dead_processes, reading
from sites.authentication import client_address

FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


class _Gauges(Collector):
    def collect(self) -> Iterable[Metric]:
        return collect_gauges(now=timezone.now())


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    if settings.METRICS_TOKEN:
        if not _has_token(request):
            return _refusal(401, "Send the metrics token: Authorization: Bearer TOKEN.")
    elif not _is_from_here(request):
        return _refusal(403, "Without HASHINSIGHT_METRICS_TOKEN set, metrics are for this machine only.")
    return HttpResponse(counted() + _measured(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def scrape_first(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: Prometheus asks by address, which is in no ALLOWED_HOSTS. A name goes the usual way, so that no web page can ask."""

    def answer(request: HttpRequest) -> HttpResponse:
        return metrics(request) if request.path_info == "/metrics" and _is_by_address(request) else get_response(request)

    return answer


def counted() -> bytes:
    """What processes counted: all of them where they share a directory (`up` makes one), else this process alone."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not directory:
        return bytes(generate_latest(REGISTRY))
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=directory)
    fold_dead_processes(Path(directory))
    with reading(Path(directory)):
        return bytes(generate_latest(registry))


def _measured() -> bytes:
    registry = CollectorRegistry()
    registry.register(_Gauges())
    return bytes(generate_latest(registry))


def _has_token(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "")
    return secrets.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())


def _is_from_here(request: HttpRequest) -> bool:
    """A proxy on this machine speaks for others: what it hands on is local only if it is trusted to say so."""
    if not settings.TRUSTED_PROXIES and any(name in request.headers for name in FORWARDED):
        return False
    address = client_address(request)
    return address is not None and ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _is_by_address(request: HttpRequest) -> bool:
    host, _port = split_domain_port(request.META.get("HTTP_HOST", ""))
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _refusal(status: int, reason: str) -> HttpResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return HttpResponse(f"{reason}\n", status=status, content_type="text/plain; charset=utf-8", headers=headers)
