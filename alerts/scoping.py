"""Which rules and channels a person may see and change: those of their own sites. What holds everywhere is for superusers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from sites.models import Site
from sites.recorded import RecordedAdmin

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


def of_own_sites(queryset: QuerySet[Any], user: AbstractBaseUser | AnonymousUser) -> QuerySet[Any]:
    """Rows whose `sites` are given and are all the user's; every row for a superuser."""
    if getattr(user, "is_superuser", False):
        return queryset
    visible = Site.objects.visible_to(user)
    foreign = Site.objects.exclude(pk__in=visible.values("pk"))
    return queryset.filter(sites__in=visible).exclude(sites__in=foreign).distinct()


def touching_own_sites(queryset: QuerySet[Any], user: AbstractBaseUser | AnonymousUser) -> QuerySet[Any]:
    """Rows that hold at a site of the user's: by name, or because they hold everywhere."""
    if getattr(user, "is_superuser", False):
        return queryset
    everywhere = queryset.filter(sites=None)
    return (everywhere | queryset.filter(sites__in=Site.objects.visible_to(user))).distinct()


class OwnSitesForm(forms.ModelForm):
    """A form with `sites`: whoever is not a superuser has to choose some of theirs."""

    def limit_to(self, request: HttpRequest) -> None:
        field: Any = self.fields.get("sites")
        if field is None or getattr(request.user, "is_superuser", False):
            return
        field.queryset = Site.objects.visible_to(request.user)
        field.required = True
        field.help_text = _("Of your sites.")


class OwnSitesAdmin(RecordedAdmin):
    """The admin of rows with an `OwnSitesForm`."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)

        class Limited(form):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.limit_to(request)

        return Limited
