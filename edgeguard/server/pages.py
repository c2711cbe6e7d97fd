"""The server's two pages, without any resource from outside, and a policy that enforces that.

The page to try the server on is one file. The API's page is Swagger UI from the package
fastapi-offline, served from here. The Content-Security-Policy allows a page's own script and style
by their sha256, and files and requests of this server; no other host, no inline handler, no frame.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from fastapi.openapi.docs import get_swagger_ui_html


@dataclass(frozen=True)
class Page:
    """A page and the headers that it is sent with."""

    html: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Asset:
    """A file that a page loads."""

    content: bytes
    kind: str


DOCS_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
"""The files of Swagger UI, and what they are."""


def docs() -> Page:
    """The API's page; its addresses are relative, for a proxy may show it anywhere."""
    script, style = (f"docs/{name}" for name in DOCS_ASSETS)
    html = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="edgeguard API",
        swagger_js_url=script,
        swagger_css_url=style,
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"validatorUrl": None, "defaultModelsExpandDepth": 0},
    )
    return _page(bytes(html.body).decode("utf-8"), files=True)


@cache
def docs_asset(name: str) -> Asset | None:
    """A file of Swagger UI; None if it has none of that name."""
    if name not in DOCS_ASSETS:
        return None
    path = resources.files("fastapi_offline") / "static" / name
    return Asset(path.read_bytes(), DOCS_ASSETS[name])


def _page(html: str, *, files: bool = False) -> Page:
    """A page with its policy; ``files``: it loads some of this server's."""
    own = "'self' " if files else ""
    policy = [
        "default-src 'none'",
        f"script-src {own}{_hashes(html, 'script')}",
        f"style-src {own}{_hashes(html, 'style')}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return Page(html, {"content-security-policy": "; ".join(policy), "x-frame-options": "DENY"})


def _hashes(html: str, tag: str) -> str:
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
    digests = (hashlib.sha256(block.encode("utf-8")).digest() for block in blocks)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


PAGE = _page(resources.files("edgeguard.server").joinpath("page.html").read_text("utf-8"))
