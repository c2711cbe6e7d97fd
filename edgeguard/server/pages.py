"""The two pages, each one file without anything from outside, and the policy that keeps it so.

The Content-Security-Policy allows the page's own script and style by their sha256, requests to this
server, and nothing else: no other host, no inline handler, no frame around it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Page:
    """A page and the headers that it is sent with."""

    html: str
    headers: dict[str, str]


def _page(name: str) -> Page:
    html = resources.files("edgeguard.server").joinpath(name).read_text("utf-8")
    policy = [
        "default-src 'none'",
        f"script-src {_hashes(html, 'script')}",
        f"style-src {_hashes(html, 'style')}",
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


PAGE = _page("page.html")
DOCS = _page("docs.html")
