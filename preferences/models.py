"""How each person wants to see the console. Nothing here changes what is measured, or who may do what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from sites.models import validate_timezone

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class Theme(models.TextChoices):
    AUTO = "auto", _("as the system")
    LIGHT = "light", _("light")
    DARK = "dark", _("dark")


class Display(models.Model):
    """One person's time zone and theme. Empty is "no wish": each site's time zone, the theme of the browser."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="display")
    timezone = models.CharField(_("time zone"), max_length=50, blank=True, validators=[validate_timezone])
    theme = models.CharField(_("theme"), max_length=10, choices=Theme.choices, blank=True)

    class Meta:
        verbose_name = _("display")
        verbose_name_plural = _("displays")

    def __str__(self) -> str:
        return f"{self.user_id}: {self.timezone} {self.theme}"


class ListQuerySet(models.QuerySet[Any]):
    def of(self, user: AbstractBaseUser | AnonymousUser, list_name: str) -> ListQuerySet:
        return self.filter(user_id=user.pk, list_name=list_name)


class SavedFilter(models.Model):
    """A choice of rows of one list that somebody gave a name: search, filters and order as they stand in the address."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="saved_filters")
    list_name = models.CharField(_("list"), max_length=100, help_text=_("As app.model."))
    name = models.CharField(_("name"), max_length=50)
    query = models.CharField(_("filter"), max_length=2_000)

    objects = ListQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("saved filter")
        verbose_name_plural = _("saved filters")
        constraints = [models.UniqueConstraint(fields=["user", "list_name", "name"], name="saved_filter_name_once")]

    def __str__(self) -> str:
        return self.name


class ListColumns(models.Model):
    """The columns somebody wants to see of one list, in their order."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="list_columns")
    list_name = models.CharField(_("list"), max_length=100)
    columns = models.JSONField(_("columns"), default=list)

    objects = ListQuerySet.as_manager()

    class Meta:
        verbose_name = _("columns of a list")
        verbose_name_plural = _("columns of lists")
        constraints = [models.UniqueConstraint(fields=["user", "list_name"], name="columns_of_a_list_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.list_name}"
