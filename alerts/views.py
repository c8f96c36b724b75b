"""The collector API of alerts."""

from __future__ import annotations

from typing import Any

from django.utils import translation
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from alerts.models import Alert
from alerts.models.alerts import AlertQuerySet
from alerts.serializers import NOT_OVER, AlertPageSerializer, AlertQuerySerializer, AlertSerializer
from sites.api import SharedView
from sites.authentication import visible_sites
from sites.models import CollectorKey
from sites.schema import errors


class AlertsView(SharedView):
    @extend_schema(
        summary="Alerts",
        parameters=[AlertQuerySerializer],
        responses={200: AlertPageSerializer, **errors(400, 401, 403, 429)},
    )
    def get(self, request: Request) -> Response:
        """What is and was wrong, newest first, a page at a time: a key sees its own site, staff theirs, superusers this server too."""
        query = AlertQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        alerts = _filtered(_visible(request), wanted)
        page, page_size = wanted["page"], wanted["page_size"]
        first, count = (page - 1) * page_size, alerts.count()
        related = ("rule", "site", "miner", "acknowledged_by")
        rows = alerts.select_related(*related).order_by("-opened_at", "-pk")[first : first + page_size]
        with translation.override("en"):  # machines read it
            found = AlertSerializer(rows, many=True).data
        answer = {"success": True, "count": count, "page": page, "page_size": page_size, "pages": -(-count // page_size), "alerts": found}
        return Response(answer)


def _visible(request: Request) -> AlertQuerySet:
    if isinstance(request.auth, CollectorKey):
        return Alert.objects.filter(site__in=visible_sites(request))
    if not request.user.has_perm("alerts.view_alert"):
        raise PermissionDenied("You may not see alerts.")
    return Alert.objects.visible_to(request.user)


def _filtered(alerts: AlertQuerySet, wanted: dict[str, Any]) -> AlertQuerySet:
    columns = {"severity": "severity", "site": "site__code", "since": "changed_at__gte"}
    alerts = alerts.filter(**{columns[name]: value for name, value in wanted.items() if name in columns})
    state = wanted.get("state")
    if state == NOT_OVER:
        return alerts.open()
    return alerts.filter(state=state) if state else alerts
