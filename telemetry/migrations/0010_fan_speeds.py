"""How fast the fans of a miner turn on average, so that its page can draw it. Readings from before have none."""

import telemetry.fields
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('telemetry', '0009_lowest_sequence'),
    ]

    operations = [
        migrations.AddField(
            model_name='minerrollup1d',
            name='fan_speed_avg_avg',
            field=telemetry.fields.RealField(null=True, verbose_name='fan speed avg, rpm'),
        ),
        migrations.AddField(
            model_name='minerrollup1h',
            name='fan_speed_avg_avg',
            field=telemetry.fields.RealField(null=True, verbose_name='fan speed avg, rpm'),
        ),
        migrations.AddField(
            model_name='minerrollup5m',
            name='fan_speed_avg_avg',
            field=telemetry.fields.RealField(null=True, verbose_name='fan speed avg, rpm'),
        ),
        migrations.AddField(
            model_name='minertelemetryhistory',
            name='fan_speed_avg',
            field=telemetry.fields.RealField(null=True, verbose_name='fan speed avg, rpm'),
        ),
        migrations.AddField(
            model_name='siterollup1d',
            name='fan_speed_avg_avg',
            field=telemetry.fields.RealField(null=True, verbose_name='fan speed avg, rpm'),
        ),
        migrations.AddField(
            model_name='siterollup1h',
            name='fan_speed_avg_avg',
            field=telemetry.fields.RealField(null=True, verbose_name='fan speed avg, rpm'),
        ),
        migrations.AddField(
            model_name='siterollup5m',
            name='fan_speed_avg_avg',
            field=telemetry.fields.RealField(null=True, verbose_name='fan speed avg, rpm'),
        ),
    ]
