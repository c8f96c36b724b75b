"""On PostgreSQL: room on each page of the tables that every reading rewrites, and daily partitions for those that only grow."""

from django.db import migrations
from django.utils import timezone

from telemetry import partitions

# One upload rewrites every row of a page, so half of each page stays free: the new version fits beside the old one and no index is
# touched (a HOT update). Above 50 the tables bloat. The summary and the ledger have few rows that change at every upload.
FILLFACTORS = {"miner_telemetry_live": 45, "miner_telemetry_detail": 45, "site_telemetry_summary": 20, "rollup_due": 20}


def use_postgresql(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for table, fillfactor in FILLFACTORS.items():
        schema_editor.execute(
            f"ALTER TABLE {table} SET (fillfactor = {fillfactor}, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000,"
            " autovacuum_vacuum_cost_delay = 0)"
        )
    # Old hours are found by time when they are pruned.
    schema_editor.execute("CREATE INDEX miner_rollup_1h_time ON miner_rollup_1h USING brin (bucket)")
    for table in partitions.PARTITIONED:
        partitions.partition_table(table, now=timezone.now())


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0003_rollups")]

    operations = [migrations.RunPython(use_postgresql, migrations.RunPython.noop)]
