"""Logging in and one's own account, under /admin before Django's pages."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from people import login, views

app_name = "people"
_staff = admin.site.admin_view

urlpatterns = [
    path("login/", login.PasswordView.as_view(), name="login"),
    path("login/code/", login.CodeView.as_view(), name="code"),
    path("account/", _staff(views.account), name="account"),
    path("account/second-factor/", _staff(views.enrol), name="enrol"),
    path("account/recovery-codes/", _staff(views.renew_codes), name="renew_codes"),
    path("account/second-factor/remove/", _staff(views.remove), name="remove"),
    path("account/log-out-elsewhere/", _staff(views.log_out_elsewhere), name="log_out_elsewhere"),
    path("account/log-out-everywhere/", _staff(views.log_out_everywhere), name="log_out_everywhere"),
]
