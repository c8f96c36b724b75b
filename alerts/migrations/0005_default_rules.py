from django.db import migrations

from alerts.defaults import default_rows


def add_default_rules(apps, schema_editor):
    rule = apps.get_model("alerts", "AlertRule")
    for row in default_rows():
        rule.objects.get_or_create(slug=row["slug"], defaults=row)


class Migration(migrations.Migration):
    dependencies = [("alerts", "0004_actions")]
    operations = [migrations.RunPython(add_default_rules, migrations.RunPython.noop)]
