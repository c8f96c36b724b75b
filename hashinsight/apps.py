from __future__ import annotations

from django.apps import AppConfig


class HashInsightConfig(AppConfig):
    name = "hashinsight"
    verbose_name = "HashInsight"
