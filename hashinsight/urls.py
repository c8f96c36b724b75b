"""Every address the product answers."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from hashinsight.health import live, ready
from hashinsight.metrics import metrics
from people.views import choose_language
from sites.api import UnknownEndpoint

handler400 = "hashinsight.unavailable.bad_request"
handler403 = "hashinsight.unavailable.permission_denied"
handler404 = "hashinsight.unavailable.page_not_found"
handler500 = "hashinsight.unavailable.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", include("hashinsight.pages.urls")),
    path("admin/", include("people.urls")),
    path("i18n/setlang/", choose_language, name="set_language"),
    path("admin/", admin.site.urls),
    path("health", live, name="health"),
    path("health/ready", ready, name="health-ready"),
    path("metrics", metrics, name="metrics"),
    path("api/", include("sites.urls")),
    path("api/", include("telemetry.urls")),
    path("api/", include("commands.urls")),
    path("api/", include("alerts.urls")),
    path("api/schema/", staff_member_required(SpectacularAPIView.as_view()), name="api-schema"),
    path("api/docs/", staff_member_required(SpectacularSwaggerSplitView.as_view(url_name="api-schema")), name="api-docs"),
    re_path(r"^api/", UnknownEndpoint.as_view()),
]
