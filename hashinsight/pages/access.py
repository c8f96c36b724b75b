"""Who may open which page: staff with the model's permission, and only for what stands in their own sites."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from alerts.models import Alert
from miners.models import Miner
from sites.models import Site


def require(request: HttpRequest, permission: str) -> None:
    """`permission` to view or to change, as `app.view_model`."""
    if not (request.user.has_perm(permission) or request.user.has_perm(permission.replace(".view_", ".change_"))):
        raise PermissionDenied


def site_or_404(request: HttpRequest, pk: int) -> Site:
    """A site of the user's own; one of others' answers as one that does not exist."""
    require(request, "sites.view_site")
    return get_object_or_404(Site.objects.visible_to(request.user), pk=pk)


def miner_or_404(request: HttpRequest, pk: int, miners: Any = None) -> Any:
    require(request, "miners.view_miner")
    visible = (miners if miners is not None else Miner.objects.all()).visible_to(request.user)
    return get_object_or_404(visible.select_related("site", "model", "live", "detail", "poll_state"), pk=pk)


def alert_or_404(request: HttpRequest, pk: int) -> Alert:
    require(request, "alerts.view_alert")
    visible = Alert.objects.visible_to(request.user).select_related("rule", "site", "miner__model", "miner__site", "acknowledged_by")
    return get_object_or_404(visible, pk=pk)
