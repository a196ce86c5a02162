"""What a browser sees: the login form and the API's documentation, all of it served from here."""

from __future__ import annotations

import html
import re
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs, quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from easyjobs.api.credentials import SESSION_LIFE
from easyjobs.api.gate import COOKIE, Gate
from easyjobs.api.requests import read_body, root

_OWN: Final = "easyjobs.api", "static"
_SWAGGER: Final = "fastapi_swagger", "resources"
_FILES: Final = {
    "/login/login.css": _OWN,
    "/docs/docs.js": _OWN,
    "/docs/docs.css": _OWN,
    "/docs/swagger-ui.css": _SWAGGER,
    "/docs/swagger-ui-bundle.js": _SWAGGER,
    "/docs/favicon-32x32.png": _SWAGGER,
}
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".png": "image/png"}

LOGIN: Final = frozenset(("/login", "/login/login.css", "/logout"))
DOCS: Final = frozenset(("/docs", *(path for path in _FILES if path.startswith("/docs/"))))
STRICT: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Swagger UI sets styles in its markup
SWAGGER: Final = STRICT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
LARGEST_FORM: Final = 16_384


def page_routes(gate: Gate) -> list[Route]:
    """The routes of the pages and all they load."""
    pages = _Pages(gate)
    return [
        Route("/login", pages.login, methods=["GET"]),
        Route("/login", pages.log_in, methods=["POST"]),
        Route("/logout", pages.log_out, methods=["POST"]),
        Route("/docs", pages.docs, methods=["GET"]),
        *(Route(path, pages.file, methods=["GET"]) for path in _FILES),
    ]


def login_url(root: str, path: str) -> str:
    """Where a browser without a credential is sent, to come back to `path` afterwards."""
    return f"{root}/login?next={quote(path, safe='/')}"


def local_path(path: str) -> bool:
    """Whether `path` is a path on this very host, and nothing that a browser would take for another one."""
    return path.startswith("/") and path.isprintable() and "\\" not in path and not path.startswith("//")


class _Pages:
    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def login(self, request: Request) -> Response:
        return _form(request, request.query_params.get("next", ""), "")

    async def log_in(self, request: Request) -> Response:
        if "origin" in request.headers:
            self._gate.check_origin(request.headers)
        body = await read_body(request, LARGEST_FORM)
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        target = form.get("next", [""])[0]
        if not await self._gate.check_secret(form.get("secret", [""])[0]):
            return _form(request, target, "That is not the secret.", 401)
        prefix = root(request)
        response = RedirectResponse(target if local_path(target) else f"{prefix}/docs", 303)
        response.set_cookie(
            COOKIE,
            self._gate.sessions.make(),
            max_age=int(SESSION_LIFE),
            path=prefix or "/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    async def log_out(self, request: Request) -> Response:
        """Also for whoever is not logged in. What another browser holds stays good until its time is over."""
        if "origin" in request.headers:
            self._gate.check_origin(request.headers)
        prefix = root(request)
        response = RedirectResponse(f"{prefix}/login", 303)
        response.delete_cookie(COOKIE, path=prefix or "/")
        return response

    async def docs(self, request: Request) -> Response:
        return _page("docs.html", 200, SWAGGER, root=root(request))

    async def file(self, request: Request) -> Response:
        path: str = request.scope["path"]
        package, folder = _FILES[path]
        name = path.rpartition("/")[2]
        kind = _TYPES["." + name.rpartition(".")[2]]
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response((files(package) / folder / name).read_bytes(), 200, headers, kind)


def _form(request: Request, target: str, message: str, status: int = 200) -> Response:
    return _page("login.html", status, STRICT, root=root(request), next=target, message=message)


def _page(name: str, status: int, policy: str, **values: str) -> Response:
    text = (files("easyjobs.api") / "static" / name).read_text("utf-8")
    filled = re.sub(r"\{(root|next|message)\}", lambda hole: html.escape(values[hole[1]]), text)
    return Response(filled, status, {"Content-Security-Policy": policy}, "text/html")
