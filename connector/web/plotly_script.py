"""Serves plotly.js out of the installed Python package, so that it is neither copied here nor fetched elsewhere."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from flask import Flask, Response, request, url_for

_YEAR_S = 365 * 24 * 3600
_LEVEL = 6


def register(app: Flask) -> None:
    """Add the script's address; templates get it as `plotly_url`, which changes with the package's version."""

    @app.get("/static/plotly.min.js")
    def plotly_script() -> Response:
        packed = request.accept_encodings.quality("gzip") > 0
        response = Response(packed_script() if packed else plain_script(), mimetype="text/javascript")
        response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
        response.headers["Vary"] = "Accept-Encoding"
        if packed:
            response.headers["Content-Encoding"] = "gzip"
        return response

    @app.context_processor
    def address() -> dict[str, str]:
        return {"plotly_url": url_for("plotly_script", v=distribution("plotly").version)}


def plain_script() -> bytes:
    """The script as it is, 4 to 5 MB."""
    return Path(str(distribution("plotly").locate_file("plotly/package_data/plotly.min.js"))).read_bytes()


@cache
def packed_script() -> bytes:
    """The script packed, about a third; kept, because packing takes a few tenths of a second."""
    return gzip.compress(plain_script(), _LEVEL, mtime=0)
