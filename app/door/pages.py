"""Pages that a service shows by itself: its document, without a network, and the door of a browser's session.

The pages hold no script of their own, so that none is allowed in them; the libraries come from a package.
"""

from collections.abc import Mapping
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, HTMLResponse, Response

from agents.base.errors import NotAllowed, NotFound
from app.door.guard import CALLER
from app.door.session import COOKIE, LASTS_S, session_value
from app.openapi import faults

ASSETS = "/docs/assets/"
#: The libraries' files -> their media types.
LIBRARY_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
    "favicon.png": "image/png",
}
SCRIPTS = {
    "show-swagger.js": """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#page", deepLinking: true, layout: "BaseLayout", showExtensions: true,
  presets: [SwaggerUIBundle.presets.apis],
});
""",
    "sign-in.js": """const form = document.getElementById("sign-in");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = document.getElementById("key").value.trim();
  const answer = await fetch("session", {method: "POST", headers: {Authorization: `Bearer ${key}`}});
  if (answer.ok) location.replace(location.pathname);
  else document.getElementById("fault").textContent = (await answer.json()).message || "That is not the key.";
});
""",
}
#: What the pages may load: the scripts above and the libraries, which draw with styles and search in a worker.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; worker-src blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
}
ASSET_HEADERS = {"Cache-Control": "public, max-age=86400"}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/assets/favicon.png">
{head}
</head>
<body>
{body}
</body>
</html>
"""
SWAGGER = (
    '<link rel="stylesheet" href="docs/assets/swagger-ui.css">',
    '<div id="page"></div>\n<script src="docs/assets/swagger-ui-bundle.js"></script>\n'
    '<script src="docs/assets/show-swagger.js"></script>',
)
REDOC = ("", '<redoc spec-url="openapi.json"></redoc>\n<script src="docs/assets/redoc.standalone.js"></script>')
SIGN_IN = (
    "",
    "<h1>{title}</h1>\n<p>This page needs the key: TUNELINE_API_KEY, or on the service's own machine what "
    "<code>tuneline token</code> prints. A browser is then known for {hours} hours.</p>\n"
    '<form id="sign-in"><label>Key <input id="key" type="password" autocomplete="off" required></label> '
    '<button>Sign in</button></form>\n<p id="fault" role="alert"></p>\n<script src="docs/assets/sign-in.js"></script>',
)
#: Shown without a key: without one the pages ask for it.
PAGE_PATHS = frozenset({"/docs", "/redoc", *(ASSETS + name for name in (*LIBRARY_FILES, *SCRIPTS))})


def add_pages(app: FastAPI) -> None:
    """Add the pages that show the service's document."""
    for path, parts in (("/docs", SWAGGER), ("/redoc", REDOC)):
        app.add_api_route(path, _shows(parts, app.title), include_in_schema=False, response_class=HTMLResponse)

    @app.get(ASSETS + "{name}", include_in_schema=False)
    def get_asset(name: Annotated[str, InPath()]) -> Response:
        if name in SCRIPTS:
            return Response(SCRIPTS[name], headers=ASSET_HEADERS, media_type="text/javascript")
        if name not in LIBRARY_FILES:
            raise NotFound(f"There is no file '{name}'.", cure="See /docs.")
        return FileResponse(_library() / name, headers=ASSET_HEADERS, media_type=LIBRARY_FILES[name])


def add_session_routes(app: FastAPI, key: str, tag: str, names: Mapping[str, str]) -> None:
    """Add the routes of a browser's session; `names`: their functions -> the ids of the operations."""

    def open_session(request: Request) -> Response:
        """Give a browser a cookie that stands for the key for twelve hours, on pages of this service only."""
        if request.scope[CALLER] != "key":
            raise NotAllowed("A session is opened by the key, not by another session.", cure="Send the key.")
        return _with_cookie(request, session_value(key), LASTS_S)

    def close_session(request: Request) -> Response:
        """Take the cookie of a browser's session back."""
        return _with_cookie(request, "", 0)

    for call, method, summary in (
        (open_session, "POST", "Open a session"),
        (close_session, "DELETE", "Close a session"),
    ):
        app.add_api_route(
            "/session",
            call,
            methods=[method],
            name=names[call.__name__],
            status_code=204,
            tags=[tag],
            summary=summary,
            responses=faults(NotAllowed),
        )


def _shows(parts: tuple[str, str], title: str) -> "type[object]":
    def show(request: Request) -> HTMLResponse:
        known = request.scope[CALLER] is not None
        head, body = parts if known else SIGN_IN
        shown = body.format(title=escape(title), hours=LASTS_S // 3600) if not known else body
        page = PAGE.format(title=escape(title), head=head, body=shown)
        return HTMLResponse(page, 200 if known else 401, PAGE_HEADERS)

    return show  # type: ignore[return-value]


def _with_cookie(request: Request, value: str, lasts_s: int) -> Response:
    answer = Response(status_code=204)
    answer.set_cookie(
        COOKIE, value, max_age=lasts_s, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return answer


def _library() -> Path:
    # Found, not imported: it would bring an application class of its own.
    spec = find_spec("fastapi_offline")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static"
