from __future__ import annotations

from django.apps import AppConfig


class HashInsightConfig(AppConfig):
    name = "hashinsight"
    verbose_name = "HashInsight"

    def ready(self) -> None:
        # The only signals of the project: django-q2 offers no other place to look at a task before it is queued and before it runs.
        from django_q.signals import pre_enqueue, pre_execute
        from unfold.templatetags import unfold_list

        from hashinsight import tracing
        from hashinsight.schedules import refuse_foreign_callable
        from sites.listing import headers_once

        pre_enqueue.connect(refuse_foreign_callable, dispatch_uid="hashinsight.refuse_foreign_callable")
        pre_enqueue.connect(tracing.send_along, dispatch_uid="hashinsight.send_along")
        unfold_list.result_headers = headers_once(unfold_list.result_headers)
        pre_execute.connect(tracing.take_up, dispatch_uid="hashinsight.take_up")
