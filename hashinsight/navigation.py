"""The console's sidebar: the pages a user may open, in groups."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from hashinsight.open_alerts import total


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's navigation for this user; a group without a page is left out."""
    groups = [_operations(request), _alerts(request), _inventory(request), _data(request), _administration(request)]
    shown = [group for group in groups if group["items"]]
    shown[0]["separator"] = False
    return shown


def _group(title: str, *items: dict[str, Any] | None) -> dict[str, Any]:
    return {"title": title, "separator": True, "items": [item for item in items if item]}


def _model_page(request: HttpRequest, title: str, icon: str, model: str, *, seen_with: str = "") -> dict[str, Any] | None:
    """The list page of `app.model`, if the user may see it; `seen_with` is the permission where it is not one of the model's own."""
    app, name = model.split(".")
    if not any(map(request.user.has_perm, [seen_with] if seen_with else [f"{app}.view_{name}", f"{app}.change_{name}"])):
        return None
    return {"title": title, "icon": icon, "link": reverse(f"admin:{app}_{name}_changelist")}


def _operations(request: HttpRequest) -> dict[str, Any]:
    overview = {"title": _("Overview"), "icon": "monitoring", "link": reverse("admin:index")}
    return _group(
        _("Operations"),
        overview,
        _model_page(request, _("Commands"), "send", "commands.minercommand"),
        _model_page(request, _("Batches"), "dynamic_feed", "commands.commandbatch"),
    )


def _alerts(request: HttpRequest) -> dict[str, Any]:
    page = _model_page(request, _("Alerts"), "notifications", "alerts.alert")
    if page and (count := total(request)).total:
        page |= {"badge": str(count.total), "badge_variant": count.level}
    return _group(
        _("Alerts"),
        page,
        _model_page(request, _("Rules"), "rule", "alerts.alertrule"),
        _model_page(request, _("Actions"), "smart_toy", "alerts.alertaction", seen_with="alerts.view_alertrule"),
        _model_page(request, _("Silences"), "notifications_off", "alerts.silence"),
        _model_page(request, _("Channels"), "campaign", "alerts.notificationchannel"),
        _model_page(request, _("Escalation"), "escalator_warning", "alerts.escalationstep"),
        _model_page(request, _("Deliveries"), "outgoing_mail", "alerts.delivery"),
    )


def _inventory(request: HttpRequest) -> dict[str, Any]:
    return _group(
        _("Inventory"),
        _model_page(request, _("Sites"), "factory", "sites.site"),
        _model_page(request, _("Miners"), "dns", "miners.miner"),
        _model_page(request, _("Miner models"), "category", "miners.minermodel"),
        _model_page(request, _("Collector keys"), "key", "sites.collectorkey"),
        _model_page(request, _("Collectors"), "router", "sites.collector"),
    )


def _data(request: HttpRequest) -> dict[str, Any]:
    readings = {"title": _("Readings"), "icon": "timeline", "link": reverse("console:readings")}
    may_read = request.user.has_perm("telemetry.view_minertelemetryhistory")
    return _group(
        _("Data"),
        _model_page(request, _("Live readings"), "sensors", "telemetry.minertelemetrylive"),
        readings if may_read else None,
        _model_page(request, _("Uploads"), "cloud_upload", "telemetry.collectoruploadlog"),
        _model_page(request, _("Gaps"), "link_off", "telemetry.telemetrygap"),
        _model_page(request, _("Collector events"), "event_note", "sites.collectorevent"),
        _model_page(request, _("Market values"), "currency_bitcoin", "market.marketsample"),
    )


def _administration(request: HttpRequest) -> dict[str, Any]:
    changes = {"title": _("Changes"), "icon": "history", "link": reverse("console:changes")}
    return _group(
        _("Administration"),
        changes if request.user.has_perm("sites.view_site") or request.user.has_perm("auth.view_user") else None,
        _model_page(request, _("Miner passwords"), "password", "commands.minercredential"),
        _model_page(request, _("Two-person rules"), "group_add", "commands.approvalrule"),
        _model_page(request, _("Jobs"), "schedule", "resilience.joblease"),
        _model_page(request, _("Users"), "person", "auth.user"),
        _model_page(request, _("Groups"), "group", "auth.group"),
        *_background_work(request),
    )


def _background_work(request: HttpRequest) -> list[dict[str, Any] | None]:
    """The login locks, and django-q2's own pages, which can run code: superusers only."""
    if not request.user.is_superuser:
        return []
    return [
        _model_page(request, _("Login locks"), "lock_clock", "axes.accessattempt"),
        _model_page(request, _("Schedules"), "event_repeat", "django_q.schedule"),
        _model_page(request, _("Queued tasks"), "pending_actions", "django_q.ormq"),
        _model_page(request, _("Failed tasks"), "error", "django_q.failure"),
        _model_page(request, _("Finished tasks"), "task_alt", "django_q.success"),
    ]
