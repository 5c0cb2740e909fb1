"""Who is let in: browsers on this computer that were given the key of this start, from pages of this server."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
        "object-src 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Keep the page from loading from, and sending to, anywhere else. It compiles its templates: hence 'unsafe-eval'."""

REFUSED = "This page opens only from the address with its key, as `adaptseg web` has printed it."
PAGE = "/index.html"


class Guard:
    """The key of one start, and what is checked of each request.

    Attributes:
        key: in the address that opens the page; a cookie holds it from then on.
    """

    def __init__(self) -> None:
        self.key = secrets.token_urlsafe(32)

    def protect(self, app: web.Application) -> None:
        """Check all requests of an application, web sockets too, and let its first page take the key."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._answer(request, handler)

        app.middlewares.append(check)
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/", self._enter)

    def fits(self, key: str) -> bool:
        """Whether this is the key, in a time that does not tell how much of it is right."""
        return hmac.compare_digest(key.encode(errors="surrogateescape"), self.key.encode())

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not (_is_for_this_computer(request) and _is_from_own_page(request) and self._has_key(request)):
            raise web.HTTPForbidden(text=REFUSED)
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:
            logger.error("A request has failed (%s).", type(error).__name__)
            raise web.HTTPInternalServerError(text="Something has gone wrong.") from None

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        """The first page: the key moves from the address, where others could read it, into a cookie."""
        response = web.Response(status=303, headers={"Location": PAGE})
        response.set_cookie(_cookie_name(request), self.key, httponly=True, samesite="Lax")
        return response

    def _has_key(self, request: web.Request) -> bool:
        key = request.query.get("key") if request.path == "/" else None
        key = key or request.cookies.get(_cookie_name(request))
        return key is not None and self.fits(key)


def _cookie_name(request: web.Request) -> str:
    """Browsers keep cookies by computer, not by port: two servers must not share one."""
    place: Any = request.transport.get_extra_info("sockname") if request.transport else None
    return f"adaptseg-{place[1] if place else 0}"


def _is_for_this_computer(request: web.Request) -> bool:
    """Whether the address names this computer; a foreign name that leads here is an attack by name server."""
    name = request.url.host or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_from_own_page(request: web.Request) -> bool:
    """Whether the page that asks, if a page does, is of this server."""
    origin = request.headers.get("Origin")
    return origin is None or origin == f"{request.scheme}://{request.host}"


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
