"""Which scripts, styles and connections a page may use (settings.CONTENT_SECURITY_POLICY), and where that is loosened."""

from __future__ import annotations

from csp.constants import UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponseBase

EVALUATES = "/admin/"
"""Unfold's pages: Alpine makes functions of the expressions in their attributes."""


class ContentPolicy(CSPMiddleware):
    def get_policy_parts(self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path_info.startswith(EVALUATES):
            parts.update = {**(parts.update or {}), "script-src": [UNSAFE_EVAL]}
        return parts
