"""A person's own page: language, time zone, theme."""

from __future__ import annotations

from typing import Any
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

from preferences.models import Preference, Theme
from preferences.wishes import YEAR_S, preference_of


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
        model = Preference
        fields = ["language", "timezone", "theme"]


def preferences(request: HttpRequest) -> HttpResponse:
    wish = preference_of(request.user)
    form = PreferenceForm(request.POST or None, instance=wish)
    if request.method == "POST" and form.is_valid():
        form.save()
        return _saved(request, form.cleaned_data["language"])
    context: dict[str, Any] = {"title": _("Preferences"), "form": form, "zones": sorted(available_timezones())}
    return render(request, "preferences/own.html", {**admin.site.each_context(request), **context})


def _saved(request: HttpRequest, language: str) -> HttpResponse:
    if language:
        translation.activate(language)
    messages.success(request, _("Your preferences are saved."))
    answer = HttpResponseRedirect(reverse("console:preferences"))
    if language:
        answer.set_cookie(settings.LANGUAGE_COOKIE_NAME, language, max_age=YEAR_S, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
    return answer
