"""The page on which a person asks the served model."""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined


def page(max_body_bytes: int, max_images: int) -> HTMLResponse:
    """The page. Names of classes, sizes and the version come to it from `/health` and answers.

    Its policy lets nothing run but its own script and style, and no address but this server's.
    """
    environment = Environment(
        loader=PackageLoader("cnn_pipeline", "champion/server/templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    html = environment.get_template("page.html").render(
        max_images=f"{max_images:,}",
        max_body_mib=max_body_bytes >> 20,
        # Base64 takes four bytes for three; the rest of the body is small.
        max_file_bytes=(max_body_bytes - 1024) * 3 // 4,
    )
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash_of('script', html)}",
            f"style-src {_hash_of('style', html)}",
            "img-src blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return HTMLResponse(html, headers=headers)


def _hash_of(tag: str, html: str) -> str:
    """The only inline element of this tag, as a policy names it."""
    (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"
