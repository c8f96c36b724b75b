"""django-axes under a name that says what it keeps."""

from __future__ import annotations

from axes.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LockoutConfig(AppConfig):
    verbose_name = _("Login locks")
