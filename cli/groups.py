"""Groups of commands that tell where a command lies which is another group's."""

from typing import Any

import typer
from typer.core import TyperGroup


class Group(TyperGroup):
    """A group below `mosaic`: "mosaic concepts check" is answered with "mosaic concept check"."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:
        """The command that words name; ends with a usage error for one that is not here."""
        if self.get_command(ctx, args[0]) is None and (others := _elsewhere(ctx, args[0])):
            ctx.fail(f'"{ctx.command_path} {args[0]}" is no command; there is {others}.')
        return super().resolve_command(ctx, args)


def _elsewhere(ctx: typer.Context, name: str) -> str:
    """The commands of that name in the groups beside, in words."""
    above = ctx.parent
    groups = getattr(above.command, "commands", {}) if above else {}
    found = [other for other, group in groups.items() if name in getattr(group, "commands", {})]
    return " and ".join(f'"{above.command_path} {other} {name}"' for other in found)
