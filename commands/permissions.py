"""Who may ask what of miners: one permission a command type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commands.models import CommandType

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

PERMISSIONS = {
    CommandType.ENABLE: "commands.can_enable",
    CommandType.DISABLE: "commands.can_disable",
    CommandType.RESTART: "commands.can_restart",
    CommandType.REBOOT: "commands.can_reboot",
    CommandType.SET_POOL: "commands.can_switch_pool",
    CommandType.SET_FAN: "commands.can_set_fan",
    CommandType.SET_FREQUENCY: "commands.can_set_frequency",
}


def may_ask(user: AbstractBaseUser | AnonymousUser, command: str) -> bool:
    """Whether `user` may give commands of this type; which miners is decided by their sites."""
    permission = PERMISSIONS.get(CommandType(command)) if command in CommandType.values else None
    has_perm = getattr(user, "has_perm", None)
    return bool(permission and has_perm and has_perm(permission))


def allowed_commands(user: AbstractBaseUser | AnonymousUser) -> list[CommandType]:
    return [command for command in CommandType if may_ask(user, command)]
