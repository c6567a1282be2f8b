"""The command line: one file a command, imported when it is asked for."""

from importlib import import_module

import click

COMMANDS = (
    "run",
    "check",
    "sign",
    "verify",
    "audit",
    "console",
    "certs",
    "revoke",
    "lockout",
    "limits",
    "reasons",
    "presets",
    "partner",
    "demo",
)
"""In the order of the help. Each is a click command of its name, in the module of its name."""


class Commands(click.Group):
    """Imports a command with its needs only when it is asked for: `gateway check` starts without mitmproxy."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and give the command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gateway")
def main() -> None:
    """Stand before the APIs that move money, and let through what the policy allows."""
