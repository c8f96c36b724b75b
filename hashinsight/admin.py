"""People, and django-q2's own pages, in the console's look. The task pages can run code, so they are for superusers."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_q import admin as django_q_admin
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget

from hashinsight.schedules import ALLOWED_CALLABLES

for model in (User, Group, Schedule, Success, Failure, OrmQ):
    admin.site.unregister(model)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "is_active", "is_staff", "is_superuser", "last_login"]
    readonly_fields = ["last_login", "date_joined"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Superusers are managed by superusers: who could set their password would be one."""
        users = super().get_queryset(request)
        return users if request.user.is_superuser else users.filter(is_superuser=False)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        readonly = [*super().get_readonly_fields(request, obj)]
        return readonly if request.user.is_superuser else [*readonly, "is_superuser", "user_permissions"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Not of a user who may do more: with their password one could do it too."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or obj.get_all_permissions() <= request.user.get_all_permissions())

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Nobody gives away rights they do not have."""
        if db_field.name == "groups" and not request.user.is_superuser:
            own = Permission.objects.filter(Q(user=request.user) | Q(group__user=request.user))
            beyond = Permission.objects.exclude(pk__in=own.values("pk"))
            kwargs["queryset"] = Group.objects.exclude(permissions__in=beyond)
        return super().formfield_for_manytomany(db_field, request, **kwargs)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


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
class ScheduleAdmin(SuperusersOnly, django_q_admin.ScheduleAdmin, ModelAdmin):
    form = ScheduleForm
    list_filter = ["schedule_type"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)


@admin.register(Success)
class SuccessAdmin(SuperusersOnly, django_q_admin.TaskAdmin, ModelAdmin):
    actions: ClassVar[list[str]] = []
    list_filter = ["group"]


@admin.register(Failure)
class FailureAdmin(SuperusersOnly, django_q_admin.FailAdmin, ModelAdmin):
    actions: ClassVar[list[str]] = []
    list_filter = ["group"]


@admin.register(OrmQ)
class QueueAdmin(SuperusersOnly, django_q_admin.QueueAdmin, ModelAdmin):
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A queued task is pickled code: it may be removed, not edited."""
        return False
