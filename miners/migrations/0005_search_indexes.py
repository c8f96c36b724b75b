"""On PostgreSQL: what people search for is found by its beginning, in whatever case, without reading every miner."""

from django.db import migrations

SEARCHED = ("miner_id", "ip_address", "serial_number", "mac_address", "worker_name")


def add_indexes(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for column in SEARCHED:
            # As Django asks for "istartswith"; text_pattern_ops serves LIKE whatever the collation.
            schema_editor.execute(f"CREATE INDEX miner_begins_{column} ON miners_miner (upper({column}::text) text_pattern_ops)")


def drop_indexes(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for column in SEARCHED:
            schema_editor.execute(f"DROP INDEX miner_begins_{column}")


class Migration(migrations.Migration):
    dependencies = [("miners", "0004_inventory_imports")]

    operations = [migrations.RunPython(add_indexes, drop_indexes)]
