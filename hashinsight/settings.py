"""Every setting, read from the environment (and from `.env` beside manage.py). An empty environment runs on SQLite.

Each variable is described in `.env.example`. With DEBUG off, a missing SECRET_KEY stops the start.
"""

from __future__ import annotations

import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp import constants as csp
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from whitenoise.compress import Compressor

from hashinsight import logs
from hashinsight.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()
ENV_FILE = Path(env.str("HASHINSIGHT_ENV_FILE", default=str(BASE_DIR / ".env")))
if ENV_FILE.is_file():
    env.read_env(ENV_FILE)

DATA_DIR = Path(env.str("HASHINSIGHT_DATA_DIR", default=str(BASE_DIR / "data")))
try:
    DATA_DIR.mkdir(parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(
        f"{DATA_DIR} can't be made ({error.strerror}): set HASHINSIGHT_DATA_DIR to a directory of this user's."
    ) from None

DEBUG = env.bool("DEBUG", default=True)
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY and not DEBUG:
    raise ImproperlyConfigured("SECRET_KEY is empty and DEBUG is off: set SECRET_KEY to 50 or more random characters (see .env.example).")
SECRET_KEY = SECRET_KEY or "for-development-only-" + "0" * 32
# With an empty list Django answers loopback names only while DEBUG is on.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
CSRF_FAILURE_VIEW = "hashinsight.unavailable.form_refused"

INSTALLED_APPS = [
    "hashinsight",  # first: its commands and templates replace those of the packages below
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.import_export",  # before the package whose templates it replaces
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "django_prometheus",
    "django_structlog",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "people.lockout_app.LockoutConfig",  # django-axes
    "simple_history",
    "import_export",
    "resilience",
    "sites",
    "people",
    "miners",
    "telemetry",
    "commands",
    "market",
    "alerts",
    "preferences",
]

MIDDLEWARE = [
    "hashinsight.head.no_body_for_head",
    "hashinsight.health.liveness_first",
    "hashinsight.compression.Compression",
    "hashinsight.deadlines.deadlines",
    "hashinsight.metrics.scrape_first",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "hashinsight.content_policy.ContentPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "people.gate.second_factor_first",
    "simple_history.middleware.HistoryRequestMiddleware",
    "preferences.wishes.preferred",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "hashinsight.urls"
WSGI_APPLICATION = "hashinsight.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "hashinsight" / "templates"],  # before Unfold's own
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database -------------------------------------------------------------------------------------------------------

DATABASE_STATEMENT_TIMEOUT = env.int("DATABASE_STATEMENT_TIMEOUT", default=30)  # seconds, PostgreSQL only
REQUEST_TIMEOUT_S = env.int("HASHINSIGHT_REQUEST_TIMEOUT_S", default=300)


def _database(url: str) -> dict[str, Any]:
    """The connection of `url`, with what each engine needs to survive several writing processes."""
    if url.partition("://")[0] not in ("postgres", "postgresql", "sqlite"):
        raise ImproperlyConfigured("DATABASE_URL can't be read: write postgres://USER:PASSWORD@HOST:5432/NAME or sqlite:////PATH/FILE.")
    database: dict[str, Any] = env.db_url_config(url)
    options = database.setdefault("OPTIONS", {})
    if database["ENGINE"].endswith("sqlite3"):
        options.update(
            transaction_mode="IMMEDIATE",
            timeout=20,
            init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32000; PRAGMA wal_autocheckpoint=10000;",
        )
        return database
    milliseconds = DATABASE_STATEMENT_TIMEOUT * 1000
    options.setdefault("connect_timeout", 5)
    options.setdefault("options", f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout=60000")
    database.update(CONN_MAX_AGE=300, CONN_HEALTH_CHECKS=True)
    return database


DATABASES = {"default": _database(env.str("DATABASE_URL", default="") or f"sqlite:///{DATA_DIR / 'hashinsight.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Cache ----------------------------------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="")
CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "sessions": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},  # the database alone: see people.sessions
}
if REDIS_URL:
    CACHES["default"] = {"BACKEND": "resilience.fallback.FallbackCache", "LOCATION": REDIS_URL}
    CACHES["sessions"] = {"BACKEND": "resilience.fallback.SharedCache", "LOCATION": REDIS_URL}

# --- Background work --------------------------------------------------------------------------------------------------

# `timeout` < `retry`, one attempt, failures acknowledged: a task that was killed must not come back for ever.
Q_CLUSTER = {
    "name": "hashinsight",
    "label": _("Background work"),
    "orm": "default",
    "workers": env.int("HASHINSIGHT_CLUSTER_WORKERS", default=4),
    "timeout": 240,
    "retry": 300,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "queue_limit": 1,
    "bulk": 1,
    "poll": 0.5,
    "recycle": 500,
    "save_limit": 1000,
    "guard_cycle": 1,
}

# --- Polling, retention, uploads ---------------------------------------------------------------------------------------

POLL_DEADLINE_S = env.int("HASHINSIGHT_POLL_DEADLINE_S", default=50)
POLL_MISFIRE_GRACE_S = env.int("HASHINSIGHT_POLL_MISFIRE_GRACE_S", default=30)
POLL_ATTEMPTS = env.int("HASHINSIGHT_POLL_ATTEMPTS", default=3)
POLL_CONNECT_TIMEOUT_S = env.float("HASHINSIGHT_POLL_CONNECT_TIMEOUT_S", default=2.0)
POLL_SEND_TIMEOUT_S = env.float("HASHINSIGHT_POLL_SEND_TIMEOUT_S", default=1.0)
POLL_RECEIVE_TIMEOUT_S = env.float("HASHINSIGHT_POLL_RECEIVE_TIMEOUT_S", default=2.0)
POLL_PATIENCE_S = env.float("HASHINSIGHT_POLL_PATIENCE_S", default=4.5)  # for a slow miner's first reply in a round
POLL_SHARD_SIZE = env.int("HASHINSIGHT_POLL_SHARD_SIZE", default=25_000)  # a larger site is polled by several tasks
LOCAL_MINERS = env.bool("HASHINSIGHT_LOCAL_MINERS", default=False)  # miners on this server itself are asked, as in the demo

RETENTION_HISTORY_DAYS = env.int("HASHINSIGHT_RETENTION_HISTORY_DAYS", default=30)
RETENTION_UPLOAD_LOG_DAYS = env.int("HASHINSIGHT_RETENTION_UPLOAD_LOG_DAYS", default=7)
RETENTION_COMMAND_DAYS = env.int("HASHINSIGHT_RETENTION_COMMAND_DAYS", default=30)
RETENTION_ALERT_DAYS = env.int("HASHINSIGHT_RETENTION_ALERT_DAYS", default=180)
RETENTION_ROLLUP_5M_DAYS = env.int("HASHINSIGHT_RETENTION_ROLLUP_5M_DAYS", default=90)
RETENTION_ROLLUP_1H_DAYS = env.int("HASHINSIGHT_RETENTION_ROLLUP_1H_DAYS", default=730)

UPLOAD_MAX_RECORDS = env.int("HASHINSIGHT_UPLOAD_MAX_RECORDS", default=5_000)
UPLOAD_MAX_BYTES = env.int("HASHINSIGHT_UPLOAD_MAX_BYTES", default=10_000_000)
UPLOAD_MAX_UNPACKED_BYTES = env.int("HASHINSIGHT_UPLOAD_MAX_UNPACKED_BYTES", default=50_000_000)
UPLOAD_RATE_PER_MINUTE = env.int("HASHINSIGHT_UPLOAD_RATE_PER_MINUTE", default=60)
DATA_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_MAX_BYTES
# Requests a minute of one key or one person, each kind in its own sliding window; failures of one address.
RATE_LIMITS = {
    "upload": UPLOAD_RATE_PER_MINUTE,
    "read": env.int("HASHINSIGHT_READ_RATE_PER_MINUTE", default=60),
    "staff": env.int("HASHINSIGHT_STAFF_RATE_PER_MINUTE", default=300),
    "heartbeat": env.int("HASHINSIGHT_HEARTBEAT_RATE_PER_MINUTE", default=60),  # and events, and new keys
    # A result that is not answered with 200 is never sent again, and a batch of hundreds is answered within seconds.
    "result": env.int("HASHINSIGHT_RESULT_RATE_PER_MINUTE", default=3_000),
    "failed_authentication": env.int("HASHINSIGHT_FAILED_AUTHENTICATION_RATE_PER_MINUTE", default=30),
}
KEY_OVERLAP_DAYS = env.int("HASHINSIGHT_KEY_OVERLAP_DAYS", default=7)  # of a key that its collector replaces by itself
# How many of our own proxies stand in front and append to X-Forwarded-For; 0: the peer's address is the client's.
TRUSTED_PROXIES = env.int("HASHINSIGHT_TRUSTED_PROXIES", default=0)

COMMAND_LEASE_S = env.int("HASHINSIGHT_COMMAND_LEASE_S", default=60)
COMMAND_TTL_S = env.int("HASHINSIGHT_COMMAND_TTL_S", default=900)

# --- Alerts ---------------------------------------------------------------------------------------------------------------


def _base_url() -> str:
    """Where people open the console; links in notifications begin with it. Not set: the first host name this server answers to."""
    given: str = env.str("HASHINSIGHT_BASE_URL", default="").rstrip("/")
    if given:
        return given
    name = next((host.strip(".") for host in ALLOWED_HOSTS if "*" not in host), "")
    return f"{'https' if env.bool('HASHINSIGHT_HTTPS', default=False) else 'http'}://{name or '127.0.0.1:8000'}"


BASE_URL = _base_url()
ALERT_ALLOWED_NETWORKS = env.list("HASHINSIGHT_ALERT_ALLOWED_NETWORKS", default=[])  # private ones that notifications may go to
RETENTION_DELIVERY_DAYS = env.int("HASHINSIGHT_RETENTION_DELIVERY_DAYS", default=30)

# --- Market data --------------------------------------------------------------------------------------------------------

MARKET_DATA = env.bool("HASHINSIGHT_MARKET_DATA", default=False)  # off: this server asks nobody outside
COINGECKO_URL = env.str("HASHINSIGHT_COINGECKO_URL", default="https://api.coingecko.com/api/v3")
COINGECKO_API_KEY = env.str("HASHINSIGHT_COINGECKO_API_KEY", default="")
COINWARZ_URL = env.str("HASHINSIGHT_COINWARZ_URL", default="https://www.coinwarz.com/v1/api")
COINWARZ_API_KEY = env.str("HASHINSIGHT_COINWARZ_API_KEY", default="")
BLOCK_SUBSIDY_BTC = env.float("HASHINSIGHT_BLOCK_SUBSIDY_BTC", default=3.125)  # halves at block 1,050,000, expected in 2028
BLOCKCHAIN_INFO_URL = env.str("HASHINSIGHT_BLOCKCHAIN_INFO_URL", default="https://blockchain.info")
MEMPOOL_SPACE_URL = env.str("HASHINSIGHT_MEMPOOL_SPACE_URL", default="https://mempool.space")

# --- API ----------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "sites.api.error_response",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "HashInsight collector API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": ["rest_framework.authentication.SessionAuthentication"],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAdminUser"],
    "PREPROCESSING_HOOKS": ["sites.schema.collector_api_only"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Console ------------------------------------------------------------------------------------------------------------

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "HashInsight",
    "SITE_HEADER": "HashInsight",
    "SITE_SUBHEADER": _("Mining operations"),
    "SITE_SYMBOL": "hive",
    "SITE_URL": None,  # the console is all there is to return to
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("hashinsight/favicon.svg")}],
    "SHOW_LANGUAGES": True,
    "SHOW_VIEW_ON_SITE": False,
    "SCRIPTS": [lambda request: static("hashinsight/everywhere.js")],
    "STYLES": [lambda request: static("hashinsight/console.css")],
    "DASHBOARD_CALLBACK": "hashinsight.dashboard.index_context",
    "ACCOUNT": {
        "navigation": [
            {"title": _("My account"), "link": reverse_lazy("people:account")},
            {"title": _("Preferences"), "link": reverse_lazy("console:preferences")},
            {"title": _("Change password"), "link": reverse_lazy("admin:password_change")},
        ]
    },
    "SIDEBAR": {"show_search": True, "command_search": True, "navigation": "hashinsight.navigation.sidebar"},
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {  # petrol, calm beside the red and amber of a farm in trouble
            "50": "oklch(97.6% .012 215)",
            "100": "oklch(94.6% .025 215)",
            "200": "oklch(89.2% .048 216)",
            "300": "oklch(81.5% .078 218)",
            "400": "oklch(72% .1 220)",
            "500": "oklch(61% .105 223)",
            "600": "oklch(51.5% .098 226)",
            "700": "oklch(44.5% .085 229)",
            "800": "oklch(38.5% .07 231)",
            "900": "oklch(33% .056 233)",
            "950": "oklch(25% .043 235)",
        },
    },
}

# --- Language, time, static files -------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale", BASE_DIR / "locale" / "unfold"]
FORMAT_MODULE_PATH = "hashinsight.formats"
TIME_ZONE = env.str("HASHINSIGHT_TIME_ZONE", default="UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise warns of one that is not there
WHITENOISE_USE_FINDERS = DEBUG
# Source maps are half of all bytes, and only a developer's tools ever ask for one.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = (*Compressor.SKIP_COMPRESS_EXTENSIONS, "map")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage" if DEBUG else "hashinsight.static_files.StaticFiles",
    },
}

# --- Security -----------------------------------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
SESSION_ENGINE = "people.sessions"
SESSION_CACHE_ALIAS = "sessions"
SESSION_COOKIE_AGE = 86_400
SESSION_COOKIE_HTTPONLY = True
# Not "Strict": an address in a message or a chat would then lead to the login page of somebody who is logged in.
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_AGE = 365 * 86_400
# Names of groups, "superusers", or "all" for all staff: they work only with a second factor.
REQUIRE_2FA = env.list("HASHINSIGHT_REQUIRE_2FA", default=[])
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "people.lockout.counted_address"
AXES_LOCKOUT_CALLABLE = "people.lockout.axes_lockout"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # a browser that tries by itself would lock its owner out for ever
AXES_DISABLE_ACCESS_LOG = True  # the log has the logins, and people_sessions who is in
AXES_ENABLE_ADMIN = False  # hashinsight.admin has its page
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["code"]
HASHINSIGHT_HTTPS = env.bool("HASHINSIGHT_HTTPS", default=False)  # on behind a TLS proxy
if HASHINSIGHT_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = True
# Nothing from elsewhere, nothing to elsewhere. Styles: Unfold sets widths and colours in place; scripts may not.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [csp.SELF],
        "script-src": [csp.SELF, csp.NONCE],
        "style-src": [csp.SELF, csp.UNSAFE_INLINE],
        "img-src": [csp.SELF, "data:"],
        "object-src": [csp.NONE],
        "base-uri": [csp.SELF],
        "form-action": [csp.SELF],
        "frame-ancestors": [csp.NONE],
    }
}
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]  # HSTS and the redirect to https are the TLS proxy's

# --- Metrics ------------------------------------------------------------------------------------------------------------------

METRICS_TOKEN = env.str("HASHINSIGHT_METRICS_TOKEN", default="")  # empty: /metrics is for this machine only

# --- Logs ---------------------------------------------------------------------------------------------------------------------

LOG_FORMAT = env.str("HASHINSIGHT_LOG_FORMAT", default="console" if DEBUG or sys.stderr.isatty() else "json")
LOG_LEVEL = env.str("HASHINSIGHT_LOG_LEVEL", default="INFO")
LOGGING = logs.configure(form=LOG_FORMAT, level=LOG_LEVEL)
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
