"""The last replies of miners word for word."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('miners', '0005_search_indexes'),
        ('telemetry', '0010_fan_speeds'),
    ]

    operations = [
        migrations.CreateModel(
            name='MinerRawReply',
            fields=[
                ('miner', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='raw_reply', serialize=False, to='miners.miner', verbose_name='miner')),
                ('received_at', models.DateTimeField(verbose_name='received at')),
                ('error_message', models.CharField(blank=True, help_text='Why it could not be read; empty when it could.', max_length=500, verbose_name='error')),
                ('replies', models.BinaryField(help_text='Compressed; telemetry.raw_replies packs and unpacks them.', verbose_name='replies')),
            ],
            options={
                'verbose_name': 'raw reply',
                'verbose_name_plural': 'raw replies',
                'db_table': 'miner_raw_reply',
            },
        ),
    ]
