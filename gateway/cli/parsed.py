"""Options and arguments whose text one of the policy's own readers understands."""

from collections.abc import Callable

import click

from gateway.policy.values import Unfit


class Parsed[T](click.ParamType[T]):
    """Text that one of the policy's own readers understands."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: str | T, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Give the value; fails as a usage error."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except Unfit as unfit:
            self.fail(f"{unfit.message} ({unfit.hint})" if unfit.hint else unfit.message, param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)
