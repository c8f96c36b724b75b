"""Every address the product answers."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from hashinsight.health import live, ready
from sites.api import UnknownEndpoint

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", include("hashinsight.pages.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("health", live, name="health"),
    path("health/ready", ready, name="health-ready"),
    path("api/", include("sites.urls")),
    path("api/", include("telemetry.urls")),
    path("api/", include("commands.urls")),
    re_path(r"^api/", UnknownEndpoint.as_view()),
]
