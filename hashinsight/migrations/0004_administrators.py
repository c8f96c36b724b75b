"""Administrators set the miners' passwords and the two-person rules of their sites."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations

ADMINISTRATORS = [f"{action}_{model}" for model in ("minercredential", "approvalrule") for action in ("view", "add", "change", "delete")]


def give_permissions(apps: Any, schema_editor: Any) -> None:
    """To the group of the first migration, if it is still there."""
    using = schema_editor.connection.alias
    app = apps.get_app_config("commands")
    app.models_module = True  # permissions are otherwise made only after the last migration
    create_permissions(app, apps=apps, using=using, verbosity=0)
    app.models_module = None
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    given = permissions.filter(content_type__app_label="commands", codename__in=ADMINISTRATORS)
    for group in apps.get_model("auth", "Group").objects.using(using).filter(name="administrator"):
        group.permissions.add(*given)


class Migration(migrations.Migration):
    dependencies = [
        ("hashinsight", "0003_alert_permissions"),
        ("commands", "0003_history"),
    ]

    operations = [migrations.RunPython(give_permissions, migrations.RunPython.noop)]
