"""The five groups of people on a farm. An administrator may change what they may do; this only makes them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations

APPS = ("auth", "sites", "miners", "telemetry", "commands", "resilience")

VIEW = {
    "sites.view_site",
    "sites.view_collectorkey",
    "miners.view_miner",
    "miners.view_minermodel",
    "telemetry.view_minertelemetrylive",
    "telemetry.view_minertelemetryhistory",
    "telemetry.view_collectoruploadlog",
    "commands.view_minercommand",
    "commands.view_commandbatch",
    "resilience.view_joblease",
}
REPAIR = VIEW | {"miners.change_miner", "commands.can_restart", "commands.can_reboot"}
OPERATE = REPAIR | {
    "miners.add_miner",
    "commands.can_enable",
    "commands.can_disable",
    "commands.can_switch_pool",
    "commands.can_set_fan",
    "commands.can_set_frequency",
}
MANAGE = OPERATE | {
    "miners.delete_miner",
    "sites.change_site",
    "sites.add_collectorkey",
    "sites.change_collectorkey",
}
ADMINISTER = MANAGE | {
    "sites.add_site",
    "sites.delete_site",
    "miners.add_minermodel",
    "miners.change_minermodel",
    "auth.view_user",
    "auth.add_user",
    "auth.change_user",
    "auth.view_group",
}
GROUPS = {"viewer": VIEW, "technician": REPAIR, "operator": OPERATE, "site manager": MANAGE, "administrator": ADMINISTER}


def make_groups(apps: Any, schema_editor: Any) -> None:
    using = schema_editor.connection.alias
    for label in APPS:  # permissions are otherwise made only after the last migration
        app = apps.get_app_config(label)
        app.models_module = True
        create_permissions(app, apps=apps, using=using, verbosity=0)
        app.models_module = None
    permissions = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in apps.get_model("auth", "Permission").objects.using(using).select_related("content_type")
    }
    for name, wanted in GROUPS.items():
        group, made = apps.get_model("auth", "Group").objects.using(using).get_or_create(name=name)
        if made:
            group.permissions.set([permissions[codename] for codename in sorted(wanted)])


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sites", "0001_initial"),
        ("miners", "0001_initial"),
        ("telemetry", "0001_initial"),
        ("commands", "0001_initial"),
        ("resilience", "0001_initial"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
