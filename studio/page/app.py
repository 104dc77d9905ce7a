"""The server: which address shows what, and how everything that goes wrong is said."""

import asyncio
import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ...configs.errors import SmaltiError
from ...configs.files import explain
from ...configs.loading import resolve
from . import asked, concepts, mosaics, orders
from .desk import Desk, Missing
from .drawing import Drawer
from .events import Changes
from .examine import Examiner
from .look import look_at
from .render import ROOM, Room, room_of
from .safety import Gate, Guard, TooLarge
from .works import Works
from .zoom import Zoom

STATIC = Path(__file__).parent / "static"
VIEWER = Path(__file__).parents[1] / "press" / "page"


def make_app(desk: Desk, gate: Gate, *, warm: bool = True) -> Starlette:
    """The page over some folders.

    warm: load the starter at once, so that the first draft need not wait for it.
    """
    works, drawer = Works(), Drawer()
    room = Room(
        desk, gate, works, drawer, Examiner(), Zoom(), Changes(lambda: look_at(desk, works, drawer))
    )

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        if warm:
            settings = resolve(base=desk.base or None, overrides=desk.overrides)
            await asyncio.to_thread(drawer.warm, settings)
        try:
            yield
        finally:
            room.examiner.close()
            await asyncio.gather(works.close(), asyncio.to_thread(drawer.close))

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Guard, gate=gate)],
        exception_handlers=HANDLERS,
        lifespan=life,
    )
    setattr(app.state, ROOM, room)
    return app


async def _missing(request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 404)


async def _refused(request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 400)


async def _refused_by_disk(request: Request, error: Any) -> Response:
    named = Path(error.filename) if isinstance(error.filename, str) else Path("a file")
    return PlainTextResponse(str(explain(error, named)), 400)


async def _too_large(request: Request, error: Exception) -> Response:
    return PlainTextResponse("That is too much at once; send fewer pictures.", 413)


async def _http(request: Request, error: Any) -> Response:
    return PlainTextResponse(error.detail, error.status_code)


async def _broken(request: Request, error: Exception) -> Response:
    return PlainTextResponse("Something went wrong here; the terminal says what.", 500)


async def events(request: Request) -> Response:
    """The stream of topics that change."""
    return await room_of(request).events(request)


ROUTES = [
    Route("/", lambda request: RedirectResponse("/mosaics", 303)),
    Route("/events", events),
    *asked.ROUTES,
    *concepts.ROUTES,
    *mosaics.ROUTES,
    *orders.ROUTES,
    Mount("/static", StaticFiles(directory=STATIC)),
    Mount("/viewer", StaticFiles(directory=VIEWER)),
]
HANDLERS = {
    Missing: _missing,
    SmaltiError: _refused,
    TooLarge: _too_large,
    OSError: _refused_by_disk,
    HTTPException: _http,
    Exception: _broken,
}


def serve(desk: Desk, gate: Gate, host: str, port: int, *, browser: bool) -> None:
    """Answer until Ctrl-C; `browser` opens the page in one."""
    import uvicorn

    address = f"http://{'127.0.0.1' if not gate.key else host}:{port}/"
    address += f"?key={gate.key}" if gate.key else ""
    config = uvicorn.Config(
        make_app(desk, gate), host=host, port=port, log_level="warning", timeout_graceful_shutdown=3
    )
    if browser:
        threading.Timer(1.0, webbrowser.open, [address]).start()
    uvicorn.Server(config).run()
