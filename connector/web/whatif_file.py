"""The what-if report as one HTML file that needs nothing else: styles, scripts and data are inside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from connector.web.plotly_script import plain_script
from connector.web.texts import Texts, texts_in
from connector.web.view import as_data
from connector.web.whatif_view import view
from connector.wording import Language


def page(report: Mapping[str, Any], language: Language = Language.EN) -> str:
    """The whole file."""
    texts = texts_in(language)
    environment = Environment(
        loader=PackageLoader("connector.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": texts.number, "money": texts.money, "moment": texts.moment, "chart": as_data}
    shown = view(report, texts)
    for mover in shown["movers"]:
        mover["url"] = None
    static = files("connector.web").joinpath("static")
    return environment.get_template("whatif_file.html").render(
        **shown,
        t=texts,
        lang=language.value,
        day=_day(report, texts),
        style=_inside(static.joinpath("style.css").read_text(encoding="utf-8")),
        scripts=[
            _inside(plain_script().decode()),
            _inside(static.joinpath("charts.js").read_text(encoding="utf-8")),
        ],
    )


def _day(report: Mapping[str, Any], texts: Texts) -> str:
    return texts.day(date.fromisoformat(report["as_of"]))


def _inside(text: str) -> Markup:
    """Our own and Plotly's text, which must not end the element it stands in."""
    return Markup(text.replace("</script", "<\\/script"))  # noqa: S704 - from our packages only
