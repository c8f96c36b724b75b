"""What the five groups of people may do about alerts: all see them, technicians take them, operators silence, managers set up who is told."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEW = {
    "alerts.view_alert",
    "alerts.view_alertrule",
    "alerts.view_silence",
    "alerts.view_delivery",
}
ACKNOWLEDGE = VIEW | {"alerts.change_alert"}
SILENCE = ACKNOWLEDGE | {"alerts.add_silence", "alerts.change_silence", "alerts.delete_silence"}
SET_UP = SILENCE | {
    f"alerts.{action}_{model}"
    for model in ("alertrule", "notificationchannel", "channelreceiver", "escalationstep")
    for action in ("view", "add", "change", "delete")
}
GROUPS = {"viewer": VIEW, "technician": ACKNOWLEDGE, "operator": SILENCE, "site manager": SET_UP, "administrator": SET_UP}


def give(apps: Any, schema_editor: Any) -> None:
    """To the groups that are there under their names; one that was renamed or removed is its administrator's business."""
    using = schema_editor.connection.alias
    app = apps.get_app_config("alerts")
    app.models_module = True  # permissions are otherwise made only after the last migration
    create_permissions(app, apps=apps, using=using, verbosity=0)
    app.models_module = None
    permissions = {
        f"alerts.{permission.codename}": permission
        for permission in apps.get_model("auth", "Permission").objects.using(using).filter(content_type__app_label="alerts")
    }
    for group in apps.get_model("auth", "Group").objects.using(using).filter(name__in=GROUPS):
        group.permissions.add(*[permissions[codename] for codename in sorted(GROUPS[group.name])])


class Migration(migrations.Migration):
    dependencies = [
        ("hashinsight", "0002_collector_groups"),
        ("alerts", "0003_channels"),
    ]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
