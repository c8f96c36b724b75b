"""A person's own page: language, time zone, theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from people.login import remember_language
from people.models import Preferences
from preferences.models import Display, Theme
from preferences.wishes import display_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class PreferenceForm(forms.ModelForm):
    language = forms.ChoiceField(
        label=gettext_lazy("Language"),
        required=False,
        choices=[("", gettext_lazy("as the browser")), *settings.LANGUAGES],
        widget=UnfoldAdminSelectWidget,
    )
    timezone = forms.CharField(
        label=gettext_lazy("Time zone"),
        required=False,
        help_text=gettext_lazy("As Asia/Shanghai. Empty: each site’s own. UTC shows when the mouse rests on a time."),
        widget=UnfoldAdminTextInputWidget(attrs={"list": "time-zones", "placeholder": gettext_lazy("each site’s own")}),
    )
    theme = forms.ChoiceField(
        label=gettext_lazy("Theme"),
        required=False,
        choices=[("", gettext_lazy("as it was chosen in this browser")), *Theme.choices],
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = Display
        fields = ["timezone", "theme"]

    field_order = ["language", "timezone", "theme"]


def preferences(request: HttpRequest) -> HttpResponse:
    language = Preferences.objects.filter(user=request.user.pk).values_list("language", flat=True).first()
    form = PreferenceForm(request.POST or None, instance=display_of(request.user), initial={"language": language or ""})
    if request.method == "POST" and form.is_valid():
        form.save()
        return _saved(request, form.cleaned_data["language"])
    context: dict[str, Any] = {"title": _("Preferences"), "form": form, "zones": sorted(available_timezones())}
    return render(request, "preferences/own.html", {**admin.site.each_context(request), **context})


def _saved(request: HttpRequest, language: str) -> HttpResponse:
    Preferences.objects.update_or_create(user=cast("User", request.user), defaults={"language": language})
    if language:
        translation.activate(language)
    messages.success(request, _("Your preferences are saved."))
    answer = HttpResponseRedirect(reverse("console:preferences"))
    if language:
        remember_language(answer, language)
    return answer
