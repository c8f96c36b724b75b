"""What the console's templates need beside the units."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from alerts.counts import OpenAlerts
from hashinsight.open_alerts import total
from sites.changes import Change

register = template.Library()


@register.filter
def changed_object(change: Change) -> str:
    """What was changed, as a link to its history: "miner A17"."""
    opts = change.model._meta
    address = reverse(f"admin:{opts.app_label}_{opts.model_name}_history", args=[change.object_id])
    return format_html('{} <a href="{}">{}</a>', opts.verbose_name, address, change.name)


@register.filter
def ranges(hours: str) -> list[tuple[int, str]]:
    """ "1,24,168" as the choices of a chart: hours and what people call them."""
    return [(int(part), _range_label(int(part))) for part in hours.split(",")]


@register.simple_tag(takes_context=True)
def export_address(context: Any, changes: Any) -> str:
    """Where the list `changes` is made a file of, with its filters, search and order; empty where it cannot be."""
    query = context["request"].GET.urlencode()
    if not hasattr(changes.model_admin, "export_action"):
        return ""
    address = reverse(f"admin:{changes.opts.app_label}_{changes.opts.model_name}_export")
    return f"{address}?{query}" if query else address


def _range_label(hours: int) -> str:
    if hours < 48:
        return _("%(n)d h") % {"n": hours}
    days = hours // 24
    return _("1 y") if days >= 365 else _("%(n)d d") % {"n": days}


@register.simple_tag(takes_context=True)
def open_alerts(context: dict[str, Any]) -> OpenAlerts:
    """What is open at the sites of whoever looks at the page."""
    request = context.get("request")
    return total(request) if request is not None and request.user.is_authenticated else OpenAlerts()
