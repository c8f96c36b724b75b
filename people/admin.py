"""Users and groups: who may log in, what they may do, which sites they see, and help for whoever is locked out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import RelatedFieldListFilter
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext
from django.views.decorators.http import require_POST
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin, StackedInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from people import second_factor
from people.lockout import unlock
from people.models import Preferences, Session
from people.sessions import end_sessions
from sites.changes import note_changes
from sites.models import Site
from sites.recorded import RecordedAdmin
from telemetry import units

BUILT_IN_GROUPS = [
    *(gettext_noop("viewer"), gettext_noop("technician"), gettext_noop("operator")),
    *(gettext_noop("site manager"), gettext_noop("administrator")),
]
"""Those that migrations make; pages show them in the reader's language, and they keep one name in the database."""

for model in (User, Group, TOTPDevice, StaticDevice):  # the devices' pages would show their keys
    if admin.site.is_registered(model):
        admin.site.unregister(model)


class PreferencesInline(StackedInline):
    model = Preferences
    fields = ["language"]
    can_delete = False
    min_num = max_num = 1
    extra = 0
    hide_title = True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("auth.view_user"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("auth.change_user"))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


def group_name(group: Group) -> str:
    return _(group.name) if group.name in BUILT_IN_GROUPS else group.name


class GroupFilter(RelatedFieldListFilter):
    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        return [(group.pk, group_name(group)) for group in Group.objects.order_by("name")]


class UserForm(UserChangeForm):
    """With the sites of the user, of those that whoever edits may see; others stay as they are."""

    sites = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Sites"),
        queryset=Site.objects.none(),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text=gettext_lazy("Which sites the user sees. Superusers see every site."),
    )

    visible_sites = Site.objects.none()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "groups" in self.fields:
            self.fields["groups"].label_from_instance = group_name
        if "sites" in self.fields:
            self.fields["sites"].queryset = self.visible_sites
            self.initial["sites"] = self.instance.sites.all()


@admin.register(User)
class UserAdmin(RecordedAdmin, DjangoUserAdmin, ModelAdmin):
    form = UserForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "is_active", "is_staff", "is_superuser", "logged_in"]
    list_filter = ["is_active", "is_staff", ["groups", GroupFilter]]
    readonly_fields = ["last_login", "date_joined"]
    filter_horizontal = ["user_permissions"]
    inlines = [PreferencesInline]
    change_form_outer_before_template = "people/user_head.html"
    fieldsets = [
        (None, {"fields": ["username", "password", "first_name", "last_name", "email"]}),
        (gettext_lazy("What they may do"), {"fields": ["is_active", "is_staff", "is_superuser", "groups", "sites", "user_permissions"]}),
        (gettext_lazy("Important dates"), {"fields": ["last_login", "date_joined"]}),
    ]

    logged_in = units.ago_column("last_login", gettext_lazy("last login"))

    def get_urls(self) -> list[Any]:
        staff = self.admin_site.admin_view
        help_them = staff(require_POST(self.help_them))
        return [path("<int:pk>/<slug:what>-now/", help_them, name="auth_user_help"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Superusers are managed by superusers: who could set their password would be one."""
        users = super().get_queryset(request)
        return users if request.user.is_superuser else users.filter(is_superuser=False)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Of somebody with sites beyond those of who edits nothing is changed but which of the editor's sites they see."""
        readonly = [*super().get_readonly_fields(request, obj)]
        if request.user.is_superuser:
            return readonly
        if obj and not self.may_become(request, obj):
            # Shown as a read-only field the password would be its hash.
            return [name for name in flatten_fieldsets(self.fieldsets) if name not in ("sites", "password")]
        return [*readonly, "is_superuser", "user_permissions"]

    def get_inline_instances(self, request: HttpRequest, obj: User | None = None) -> list[Any]:
        return super().get_inline_instances(request, obj) if obj and self.may_become(request, obj) else []

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"visible_sites": Site.objects.visible_to(request.user)})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if "sites" in form.cleaned_data:
            hidden = _sites_beyond(request.user, form.instance)
            form.instance.sites.set([*hidden, *form.cleaned_data["sites"]])

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Not of a user who may do more: with their password one could do it too."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or _holds_all(request.user, _rights_of(obj)))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or self.may_become(request, obj))

    def may_become(self, request: HttpRequest, user: User) -> bool:
        """Whoever sets somebody's password or address, or takes their second factor, can log in as them, and see their sites too."""
        return self.has_change_permission(request, user) and not _sites_beyond(request.user, user).exists()

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        user = self.get_object(request, unquote(id))
        if user is not None and not self.may_become(request, user):
            raise PermissionDenied
        answer: HttpResponse = super().user_change_password(request, id, form_url)
        return answer

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Nobody gives away rights they do not have."""
        if db_field.name == "groups" and not request.user.is_superuser:
            beyond = Permission.objects.exclude(pk__in=_rights_of(request.user))
            kwargs["queryset"] = Group.objects.exclude(permissions__in=beyond)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        user = self.get_object(request, object_id)
        shown = (
            {}
            if user is None
            else {
                "authenticator": second_factor.authenticator_of(user),
                "second_factor_required": second_factor.is_required_of(user),
                "open_sessions": Session.objects.open(timezone.now()).filter(user=user).count(),
                "may_help": self.may_become(request, user),
                "has_further_sites": self.has_change_permission(request, user) and not self.may_become(request, user),
            }
        )
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})
        return answer

    def help_them(self, request: HttpRequest, pk: int, what: str) -> HttpResponse:
        """A button of the user's page: reset the second factor, log them out, lift their lock. In the log and in the user's history."""
        user = self.get_object(request, str(pk))
        if user is None or not self.may_become(request, user):
            raise PermissionDenied
        reason, done = self._help(request, user, what)
        note_changes([user], by=request.user, reason=reason)
        self.log_change(request, user, done)
        self.message_user(request, done, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:auth_user_change", args=[pk]))

    def _help(self, request: HttpRequest, user: User, what: str) -> tuple[str, str]:
        """What the history says of it, and what the page answers."""
        match what:
            case "reset":
                second_factor.reset(user, by=request.user.get_username())
                return gettext_noop("second factor removed"), _("Second factor removed, and logged out everywhere.")
            case "log-out":
                ended = end_sessions(user)
                return gettext_noop("logged out everywhere"), ngettext("%d session ended.", "%d sessions ended.", ended) % ended
            case "unlock":
                unlock(user.get_username())
                return gettext_noop("login lock lifted"), _("Wrong attempts forgotten: the user may log in again.")
        raise PermissionDenied


def _rights_of(user: Any) -> Any:
    """Keys of the permissions given to `user`, also while they are switched off: whoever switches them on again has them all at once."""
    return Permission.objects.filter(Q(user=user.pk) | Q(group__user=user.pk)).values("pk")


def _holds_all(user: Any, rights: Any) -> bool:
    return user.is_superuser or not Permission.objects.filter(pk__in=rights).exclude(pk__in=_rights_of(user)).exists()


def _sites_beyond(seer: Any, user: User) -> Any:
    """Sites of `user` that `seer` does not see."""
    return user.sites.exclude(pk__in=Site.objects.visible_to(seer).values("pk"))


@admin.register(Group)
class GroupAdmin(RecordedAdmin, DjangoGroupAdmin, ModelAdmin):
    list_display = ["shown_name"]
    filter_horizontal = ["permissions"]

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def shown_name(self, group: Group) -> str:
        return group_name(group)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Not of a group that may do more: its rights would be whoever's who edits it."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or _holds_all(request.user, obj.permissions.values("pk")))

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or self.has_change_permission(request, obj))

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        """Nobody gives away rights they do not have."""
        if db_field.name == "permissions" and not request.user.is_superuser:
            kwargs["queryset"] = Permission.objects.filter(pk__in=_rights_of(request.user)).select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **kwargs)
