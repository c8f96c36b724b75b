from __future__ import annotations

from django.apps import AppConfig


class HashInsightConfig(AppConfig):
    name = "hashinsight"
    verbose_name = "HashInsight"

    def ready(self) -> None:
        # The one signal of the project: django-q2 offers no other place to look at a task before it is queued.
        from django_q.signals import pre_enqueue

        from hashinsight.schedules import refuse_foreign_callable

        pre_enqueue.connect(refuse_foreign_callable, dispatch_uid="hashinsight.refuse_foreign_callable")
