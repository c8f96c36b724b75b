"""Logging in: the password, then the code of the second factor where the person has one. Nobody is logged in before both."""

from __future__ import annotations

import time
from typing import Any

import structlog
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model, load_backend, login
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView
from django_otp import login as remember_device
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from people import second_factor
from people.lockout import count_failure, is_locked, locked_page
from people.models import Preferences
from people.sealing import SealBroken
from people.sessions import note_origin
from sites.authentication import client_address

PENDING = "second_factor_of"
PENDING_S = 300
"""How long the password counts while the code is awaited."""

log = structlog.get_logger(__name__)


def finish_login(request: HttpRequest, user: User, backend: str, target: str) -> HttpResponse:
    """Log `user` in, in the language they chose."""
    login(request, user, backend=backend)
    note_origin(request)
    log.info("login", user=user.get_username(), client=client_address(request))
    answer = HttpResponseRedirect(target)
    chosen = Preferences.objects.filter(user=user).values_list("language", flat=True).first()
    if chosen:
        remember_language(answer, chosen)
    return answer


def remember_language(answer: HttpResponse, language: str) -> None:
    """As Django's own language switch does."""
    answer.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )


class PasswordView(LoginView):
    """The admin's login page. Whoever has a second factor goes on to the page of the code."""

    template_name = "admin/login.html"
    authentication_form = AuthenticationForm
    next_page = "admin:index"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if admin.site.has_permission(request):
            return redirect("admin:index")
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = {"title": _("Log in"), "subtitle": None, "app_path": self.request.get_full_path()}
        target = {"next": self.get_redirect_url() or reverse("admin:index")}
        return {**admin.site.each_context(self.request), **super().get_context_data(**kwargs), **page, **target}

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.get_user()
        if second_factor.authenticator_of(user) is None:
            return finish_login(self.request, user, user.backend, self.get_success_url())
        self.request.session.cycle_key()
        self.request.session[PENDING] = {
            "user": user.pk,
            "backend": user.backend,
            "password": user.get_session_auth_hash(),
            "until": time.time() + PENDING_S,
            "next": self.get_success_url(),
        }
        return redirect("people:code")

    def form_invalid(self, form: Any) -> HttpResponse:
        log.warning("login_failed", username=self.request.POST.get("username", "")[:150], client=client_address(self.request))
        return super().form_invalid(form)


class CodeForm(forms.Form):
    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=32,
        help_text=gettext_lazy("The six digits your authenticator app shows now, or one of your recovery codes."),
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "off", "spellcheck": "false", "autofocus": True}
        ),
    )


@method_decorator([never_cache, sensitive_post_parameters("code")], name="dispatch")
class CodeView(FormView):
    """The code of the second factor, for whom the password was right a moment ago."""

    template_name = "people/code.html"
    form_class = CodeForm
    pending: dict[str, Any]
    person: User | None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.pending = request.session.get(PENDING) or {}
        self.person = pending_person(self.pending)
        if self.person is None:
            request.session.pop(PENDING, None)
            return redirect("admin:login")
        if request.method == "POST" and is_locked(request, self.person.get_username()):
            return locked_page(request, {"username": self.person.get_username()})
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = {"title": _("Second step"), "person": self.person}
        return {**admin.site.each_context(self.request), **super().get_context_data(**kwargs), **page}

    def form_valid(self, form: CodeForm) -> HttpResponse:
        assert self.person is not None
        try:
            device = second_factor.verify(self.person, form.cleaned_data["code"])
        except second_factor.TooSoon as error:
            form.add_error("code", ngettext("Wait %d second and try again.", "Wait %d seconds and try again.", error.wait_s) % error.wait_s)
            return self.form_invalid(form)
        except SealBroken:
            form.add_error("code", _("This server has a new SECRET_KEY and cannot check codes: ask for a reset of your second factor."))
            return self.form_invalid(form)
        if device is None:
            count_failure(self.request, self.person.get_username())
            form.add_error("code", _("This code is not right. A code works once; wait for the next one."))
            return self.form_invalid(form)
        del self.request.session[PENDING]
        answer = finish_login(self.request, self.person, self.pending["backend"], self.pending["next"])
        remember_device(self.request, device)
        return answer


def pending_person(pending: dict[str, Any]) -> User | None:
    """Who gave the right password, if that was a moment ago, and is still right and of somebody who may work."""
    if not pending or pending["until"] < time.time() or pending["backend"] not in settings.AUTHENTICATION_BACKENDS:
        return None
    user: Any = load_backend(pending["backend"]).get_user(pending["user"])
    if user is None or not constant_time_compare(user.get_session_auth_hash(), pending["password"]):
        return None
    return user if isinstance(user, get_user_model()) else None
