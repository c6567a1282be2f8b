"""Pages as HTML: the templates, and how values look in them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway.audit.ocsf import PRODUCT

HERE = Path(__file__).parent


def page(template: str, values: Mapping[str, object]) -> str:
    """Fill a template. What is filled in is escaped, but for plots."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "cell": cell,
        "when": when,
        "number": number,
        "size": size,
        "plot": plot,
        "words": words,
        "day": day,
    }
    made.globals["product"] = PRODUCT
    return made


def cell(value: object) -> str | Markup:
    """Give a value as it stands in a table."""
    made: str | Markup
    match value:
        case None:
            made = ""
        case bool():
            made = "yes" if value else "no"
        case datetime():
            made = when(value)
        case int():
            made = number(value)
        case float():
            made = f"{value:,.2f}".rstrip("0").rstrip(".")
            made = "0" if made == "-0" else made
        case list():
            made = Markup(", ").join(cell(item) for item in value)
        case dict():
            made = Markup("; ").join(f"{name}: {cell(item)}" for name, item in value.items())
        case _:
            made = str(value)
    return made


def when(value: object) -> Markup:
    """Give a time of the views (UTC), or an instant."""
    if isinstance(value, float | int):
        value = datetime.fromtimestamp(value, UTC).replace(tzinfo=None)
    if not isinstance(value, datetime):
        return Markup("")
    stamp = value.isoformat(timespec="milliseconds")
    shown = value.isoformat(" ", "milliseconds" if value.microsecond else "seconds")
    return Markup('<time datetime="{}Z">{}</time>').format(stamp, shown)


def day(value: float) -> str:
    """Give the date of an instant."""
    return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d}"


def number(value: object) -> str:
    """Give a whole number with its thousands apart."""
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else str(value)


def size(value: int) -> str:
    """Give a number of bytes."""
    amount = float(value)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def plot(svg: str) -> Markup:
    """Give a plot, which `charts` has made, as it is."""
    return Markup(svg)  # noqa: S704 - Vega escapes what is in it


def words(name: object) -> Markup:
    """Give a column's name as words."""
    return Markup(escape(str(name).replace("_", " ")))  # noqa: S704 - escaped here
