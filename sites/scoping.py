"""What every admin page of the console shares: a user sees the sites that were given to them, and observed facts are read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import DropdownFilter

from preferences.lists import PersonalList
from sites.listing import LargeList
from sites.models import Site


class VisibleSiteFilter(DropdownFilter):
    """By site, offering only those the user may see."""

    title = _("site")
    parameter_name = "site"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Site.objects.visible_to(request.user).values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(site_id=value) if value in dict(self.lookup_choices) else queryset.none()


class SiteScopedAdmin(PersonalList, LargeList, ModelAdmin):
    """Rows, choices and autocompletion of the user's own sites only. The model has a foreign key `site`."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset if request.user.is_superuser else queryset.filter(site__in=Site.objects.visible_to(request.user))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Site:
            kwargs["queryset"] = Site.objects.visible_to(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class ReadOnly:
    """Mixed into an admin of observed facts: they are looked at, never typed in."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
