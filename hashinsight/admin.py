"""django-q2's own pages, and the login locks, in the console's look. The task pages can run code, so they are for superusers."""

from __future__ import annotations

from typing import Any, ClassVar

from axes.models import AccessAttempt
from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django_q import admin as django_q_admin
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from hashinsight.schedules import ALLOWED_CALLABLES
from people.lockout import unlock
from sites.exports import ListExport
from telemetry import units

for model in (Schedule, Success, Failure, OrmQ):
    admin.site.unregister(model)


class SuperusersOnly:
    """Mixed into pages that can make the server run something."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)


class ScheduleForm(forms.ModelForm):
    """A schedule names one of the product's own functions; django-q2 by itself would run any function of the machine."""

    func = forms.ChoiceField(
        label=_("function"), widget=UnfoldAdminSelectWidget, choices=[(name, name) for name in sorted(ALLOWED_CALLABLES)]
    )

    class Meta:
        model = Schedule
        fields = ["name", "func", "args", "kwargs", "schedule_type", "minutes", "cron", "repeats", "next_run", "cluster"]


@admin.register(Schedule)
class ScheduleAdmin(SuperusersOnly, ListExport, django_q_admin.ScheduleAdmin, ModelAdmin):
    form = ScheduleForm
    list_filter = ["schedule_type"]
    list_display = ["id", "name", "func", "schedule_type", "repeats", "cluster", "due", "get_last_run", "get_success"]

    due = units.moment_column("next_run", Schedule._meta.get_field("next_run").verbose_name)

    @admin.display(description=_("last run"))
    def get_last_run(self, schedule: Schedule) -> Any:
        """Under a name of ours: django-q2 heads it "Last_run"."""
        return super().get_last_run(schedule)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)


class TaskTimes:
    """Mixed into lists of tasks: django-q2's own show times without their zone."""

    began = units.moment_column("started", Success._meta.get_field("started").verbose_name)
    ended = units.moment_column("stopped", Success._meta.get_field("stopped").verbose_name)


@admin.register(Success)
class SuccessAdmin(SuperusersOnly, TaskTimes, ListExport, django_q_admin.TaskAdmin, ModelAdmin):
    actions: ClassVar[list[str]] = []
    list_filter = ["group"]
    list_display = ["name", "group", "func", "cluster", "began", "ended", "time_taken"]


@admin.register(Failure)
class FailureAdmin(SuperusersOnly, TaskTimes, ListExport, django_q_admin.FailAdmin, ModelAdmin):
    actions: ClassVar[list[str]] = []
    list_filter = ["group"]
    list_display = ["name", "group", "func", "cluster", "began", "ended", "short_result"]


@admin.register(OrmQ)
class QueueAdmin(SuperusersOnly, ListExport, django_q_admin.QueueAdmin, ModelAdmin):
    list_display = ["id", "key", "name", "group", "func", "locked", "task_id"]

    locked = units.moment_column("lock", OrmQ._meta.get_field("lock").verbose_name)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A queued task is pickled code: it may be removed, not edited."""
        return False


@admin.register(AccessAttempt)
class LoginLockAdmin(SuperusersOnly, ListExport, ModelAdmin):
    """Names and addresses with wrong passwords or codes; five in a row are a lock, and deleting the row lifts it."""

    list_display = ["username", "ip_address", "failures_since_start", "attempted", "lock"]
    list_display_links = None
    search_fields = ["username", "=ip_address"]
    ordering = ["-attempt_time"]
    actions = ["lift"]
    empty_text = _("Nobody entered a wrong password lately.")

    attempted = units.moment_column("attempt_time", _("last attempt"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description=_("lock"), label={"locked": "danger", "open": "default", "over": "default"})
    def lock(self, attempt: AccessAttempt) -> tuple[str, Any]:
        if attempt.failures_since_start < settings.AXES_FAILURE_LIMIT:
            return "open", _("not locked")
        ends_at = attempt.attempt_time + settings.AXES_COOLOFF_TIME
        if ends_at <= timezone.now():
            return "over", _("over")
        return "locked", _("until %(time)s UTC") % {"time": f"{ends_at:%H:%M}"}

    @admin.action(description=_("Lift the lock of these names"), permissions=["delete"])
    def lift(self, request: HttpRequest, queryset: QuerySet[AccessAttempt]) -> None:
        names = sorted(set(queryset.values_list("username", flat=True)))
        for name in names:
            unlock(name)
        self.message_user(request, ngettext("%d name may log in again.", "%d names may log in again.", len(names)) % len(names))
