"""The open alerts a user may see, counted once a request: the header, the sidebar and the page itself show the same figures."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from alerts.counts import OpenAlerts, open_alerts, together

KEPT = "_open_alerts"

Counts = dict[int | None, OpenAlerts]


def counted(request: HttpRequest) -> Counts:
    """By the site's primary key; None: of this server. Empty for whoever may not see alerts."""
    if not request.user.has_perm("alerts.view_alert"):
        return {}
    if not hasattr(request, KEPT):
        setattr(request, KEPT, open_alerts(request.user))
    return cast("Counts", getattr(request, KEPT))


def total(request: HttpRequest) -> OpenAlerts:
    return together(counted(request).values())
