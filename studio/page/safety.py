"""What keeps others out: other machines, other sites in the same browser, and too large requests.

A page on the loopback address is open to every site that the browser visits: by requests that
carry no permission (cross-site request forgery) and by names that are made to point here (DNS
rebinding). So a request must name this host, and one that changes anything must carry a token that
only our own pages know.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SAFE_METHODS = ("GET", "HEAD")
TOKEN_HEADER = "x-smalti-token"
COOKIE = "smalti"
MAX_BODY = 600 * 2**20  # bytes: sixty photos of ten megabytes
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Gate:
    """Who may come in."""

    hosts: frozenset[str]
    """Values of the Host header that are ours, with their port."""
    key: str = ""
    """What a browser on another machine must have shown once; empty on the loopback address."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """What every request that changes something carries; new at every start."""


def make_gate(host: str, port: int, names: Iterable[str] = ()) -> Gate:
    """The gate of a server that listens on host:port.

    names: further names of this machine. Any host but the loopback address needs a key.
    """
    local = host in ("127.0.0.1", "::1", "localhost")
    known = LOOPBACK if local else (*LOOPBACK, host, *names)
    hosts = frozenset(f"{name}:{port}".lower() for name in known)
    return Gate(hosts, "" if local else secrets.token_urlsafe(24))


class Guard:
    """The outermost layer: refuses what must not come in, and marks every answer."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        """Stand before `app`."""
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        app = refusal if refusal is not None else self.app
        await app(scope, _limited(receive), _marked(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers, method = Headers(scope=scope), scope["method"]
        if headers.get("host", "").lower() not in self.gate.hosts:
            return PlainTextResponse("This name is not this page's.", 421)
        if (answer := self._without_key(scope, headers)) is not None:
            return answer
        if method not in SAFE_METHODS:
            return self._refused_change(headers)
        return None

    def _without_key(self, scope: Scope, headers: Headers) -> Response | None:
        """Let in who shows the key in a cookie; who shows it in the address gets the cookie."""
        if not self.gate.key or _same(_cookie(headers), self.gate.key):
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["method"] == "GET" and _same(query.get("key", [""])[0], self.gate.key):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(COOKIE, self.gate.key, httponly=True, samesite="strict")
            return answer
        return PlainTextResponse("Open the address that the server printed at its start.", 403)

    def _refused_change(self, headers: Headers) -> Response | None:
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() not in self.gate.hosts:
            return PlainTextResponse("Another site may not change anything here.", 403)
        if not _same(headers.get(TOKEN_HEADER, ""), self.gate.token):
            return PlainTextResponse("This page is older than the server: load it again.", 403)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            return PlainTextResponse(f"More than {MAX_BODY // 2**20} MB at once.", 413)
        return None


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _cookie(headers: Headers) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookie[COOKIE].value if COOKIE in cookie else ""


class TooLarge(Exception):
    """A body that goes on beyond what is allowed, whatever its length was said to be."""


def _limited(receive: Receive) -> Receive:
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            raise TooLarge
        return message

    return limited


def _marked(send: Send) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            if "cache-control" not in headers:
                headers["cache-control"] = "no-store"
        await send(message)

    return marked
