from __future__ import annotations

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEW = ("sites.view_collector", "sites.view_collectorevent", "telemetry.view_telemetrygap")
MANAGE = ("sites.change_collector",)
GROUPS = {
    "viewer": VIEW,
    "technician": VIEW,
    "operator": VIEW,
    "site manager": VIEW + MANAGE,
    "administrator": VIEW + MANAGE,
}


def give_permissions(apps: Any, schema_editor: Any) -> None:
    """To the groups of the first migration, as far as they are still there."""
    using = schema_editor.connection.alias
    for label in ("sites", "telemetry"):  # permissions are otherwise made only after the last migration
        app = apps.get_app_config(label)
        app.models_module = True
        create_permissions(app, apps=apps, using=using, verbosity=0)
        app.models_module = None
    permissions = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in apps.get_model("auth", "Permission").objects.using(using).select_related("content_type")
    }
    for group in apps.get_model("auth", "Group").objects.using(using).filter(name__in=GROUPS):
        group.permissions.add(*(permissions[codename] for codename in GROUPS[group.name]))


class Migration(migrations.Migration):
    dependencies = [
        ("hashinsight", "0001_groups"),
        ("sites", "0002_collectors"),
        ("telemetry", "0008_collector_sequences"),
    ]

    operations = [migrations.RunPython(give_permissions, migrations.RunPython.noop)]
