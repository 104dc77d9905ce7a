"""What every address needs: the room it works in, templates, and answers to htmx."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ...configs.errors import InputError
from .desk import Desk
from .drawing import Drawer
from .events import Changes, topic
from .examine import Examiner
from .safety import TOKEN_HEADER, Gate
from .works import Works
from .zoom import Zoom

ROOM = "room"
MAX_FILES = 60
MAX_FIELDS = 200
MAX_FIELD = 64 * 1024  # bytes

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(topic=topic)
_templates.filters["path"] = lambda text: quote(str(text), safe="")


@dataclass(frozen=True)
class Room:
    """Everything that the addresses share."""

    desk: Desk
    gate: Gate
    works: Works
    drawer: Drawer
    examiner: Examiner
    zoom: Zoom
    changes: Changes

    async def events(self, request: Request) -> Response:
        """The stream of topics that change."""

        async def told() -> AsyncIterator[ServerSentEvent]:
            async for name in self.changes.listen():
                yield ServerSentEvent(data="1", event=name)

        return EventSourceResponse(told(), ping=20)


def room_of(request: Request) -> Room:
    """The room of the page that is asked."""
    return getattr(request.app.state, ROOM)


def page(request: Request, template: str, /, **facts: Any) -> Response:
    """A whole page, or a part of one, from its template."""
    token = room_of(request).gate.token
    text = _templates.get_template(template).render(
        token=token, token_header=TOKEN_HEADER, here=request.url.path, **facts
    )
    return HTMLResponse(text)


def go_to(path: str) -> Response:
    """Let htmx load another page."""
    return Response(status_code=204, headers={"HX-Redirect": path})


async def form_of(request: Request) -> Any:
    """The form of a request; raises InputError for one that is none or is too large."""
    from starlette.exceptions import HTTPException

    try:
        return await request.form(
            max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD
        )
    except HTTPException as error:
        raise InputError(f"The form cannot be read: {error.detail}") from error


def text_of(form: Any, name: str) -> str:
    """A field of a form as a text, empty without one or where a file was sent in its place."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def picture(data: bytes) -> Response:
    """A JPEG whose address changes with it."""
    headers = {"cache-control": "private, max-age=86400, immutable"}
    return Response(data, media_type="image/jpeg", headers=headers)
