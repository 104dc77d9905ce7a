"""Addresses about what is to be drawn: the list, the form, its drafts, and Draw."""

import asyncio
import shlex
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...configs.errors import InputError, SmaltiError
from ...configs.files import remove
from ...configs.mosaic import changed
from ...configs.presets import preset_names
from ...configs.product import load_product
from ...configs.settings import Settings
from ...generate.grid import make_grid
from ...generate.plan import plan_mosaic
from ...models.concepts import ADAPTER_FILE, concept_folders
from ..orders.naming import safe_part
from .asking import DRAFT, Asked, read_form
from .desk import LORA_SUFFIX, new_name
from .drawing import Drawing, Rank
from .learned import read_card
from .render import Room, form_of, go_to, page, picture, room_of, text_of
from .shown import is_begun, read_shown, show, version_of
from .uploads import keep, keep_lora

MANY = ("tile_lora", "tile_file", "tile_trigger")  # fields that a form has several times
MAX_DRAFTS = 12
DRAFT_TILES = 12  # a side at most: a draft is to be there within seconds


async def listing(request: Request) -> Response:
    """All mosaics."""
    room = room_of(request)
    folders = room.desk.mosaic_folders()
    mosaics = await asyncio.to_thread(lambda: [*filter(None, map(read_shown, folders))])
    part = "mosaics_list.html" if request.headers.get("hx-request") else "mosaics.html"
    return page(request, part, mosaics=mosaics, title="Mosaics")


async def new(request: Request) -> Response:
    """The form for a new mosaic."""
    desk = room_of(request).desk
    trained = [f for f in concept_folders(desk.concepts) if (f / ADAPTER_FILE).is_file()]
    products = [(name, load_product(name).title) for name in preset_names("product")]
    return page(
        request, "mosaic_new.html", title="New mosaic", concepts=[read_card(f) for f in trained],
        products=products, bases=preset_names("base"), presets=preset_names("mosaic"),
    )  # fmt: skip


async def photo(request: Request) -> Response:
    """Keep a dropped photo, and show it to be cropped."""
    room, form = room_of(request), await form_of(request)
    upload = form.get("photo")
    if upload is None or isinstance(upload, str):
        raise InputError("Drop one photo here.")
    path, width, height = await keep(room.examiner, room.desk.uploads, upload)
    return page(request, "photo_crop.html", photo=path.name, width=width, height=height)


async def lora(request: Request) -> Response:
    """Keep a dropped LoRA file, and say what its header does."""
    room, form = room_of(request), await form_of(request)
    upload = form.get("lora")
    if upload is None or isinstance(upload, str):
        raise InputError("Drop one LoRA file here.")
    path, found = await keep_lora(room.examiner, room.desk.uploads, upload)
    return page(request, "lora_kept.html", file=path.name, found=found)


async def uploaded(request: Request) -> Response:
    """A small picture of a dropped photo."""
    room = room_of(request)
    path = room.desk.upload(request.path_params["name"])
    return Response(await room.examiner.thumbnail(path, 900), media_type="image/jpeg")


async def _asked(request: Request) -> Asked:
    form = await form_of(request)
    fields = {name: text_of(form, name) for name in form}
    many = {name: [v for v in form.getlist(name) if isinstance(v, str)] for name in MANY}
    return read_form(fields, many, room_of(request).desk)


async def draft(request: Request) -> Response:
    """Begin a draft of what the form says, in the place of the one before.

    What is still missing is said in the draft's place: a form is filled in one by one.
    """
    room = room_of(request)
    try:
        asked = await _asked(request)
        settings = await asyncio.to_thread(_draft_settings, asked, room.desk.concepts)
    except SmaltiError as fault:
        return page(request, "draft_missing.html", fault=str(fault))
    folder = _draft_folder(room, settings)
    room.drawer.submit(Drawing(folder, settings, room.desk.concepts, Rank.DRAFT))
    return page(request, "draft.html", **_draft_facts(folder, settings, asked))


def _draft_settings(asked: Asked, concepts: Path) -> Settings:
    """The same in fewer, quicker tiles, checked."""
    settings = replace(asked, preset=DRAFT).settings()
    grid = make_grid(settings)
    most = max(grid.rows, grid.cols)
    if most > DRAFT_TILES:
        rows, cols = (max(1, round(n * DRAFT_TILES / most)) for n in (grid.rows, grid.cols))
        mosaic = changed(settings.mosaic, grid=f"{rows}x{cols}")
        settings = replace(settings, mosaic=mosaic)
    plan_mosaic(settings, concepts_dir=concepts)
    return settings


def _draft_folder(room: Room, settings: Settings) -> Path:
    """A folder for these settings; the oldest drafts go."""
    drafts = room.desk.drafts
    digest = sha256(repr((settings.base, settings.mosaic)).encode()).hexdigest()[:16]
    if drafts.is_dir():
        old = sorted(drafts.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in old[: max(0, len(old) - MAX_DRAFTS)]:
            if room.drawer.state(path) is None:
                remove(path)
    return drafts / digest


def _draft_facts(folder: Path, settings: Settings, asked: Asked) -> dict[str, Any]:
    grid = make_grid(settings)
    command = shlex.join(["mosaic", *replace(asked, preset=DRAFT).words()])
    return {"name": folder.name, "rows": grid.rows, "cols": grid.cols, "command": command}


async def draft_state(request: Request) -> Response:
    """The draft as far as it is drawn."""
    room, folder = room_of(request), _draft(request)
    return page(
        request, "draft_state.html", name=folder.name, progress=room.drawer.state(folder),
        fault=room.drawer.fault(folder), version=version_of(folder),
        ready=is_begun(folder),
    )  # fmt: skip


def _draft(request: Request) -> Path:
    """A draft's folder, which need not be there yet."""
    return room_of(request).desk.drafts / request.path_params["name"]


async def draft_preview(request: Request) -> Response:
    """The whole draft, as far as it is drawn."""
    mosaic = show(_draft(request))
    data = await asyncio.to_thread(room_of(request).zoom.preview, mosaic.folder, mosaic.grid)
    return picture(data)


async def make(request: Request) -> Response:
    """Draw the mosaic that the form says."""
    room, asked = room_of(request), await _asked(request)
    form = await form_of(request)
    settings = await asyncio.to_thread(asked.settings)
    plan_mosaic(settings, concepts_dir=room.desk.concepts)
    given = text_of(form, "name").strip()
    name = new_name(given, "mosaic") if given else safe_part(_title(asked))
    folder = _free(room.desk.mosaics / name)
    folder.mkdir(parents=True)
    room.drawer.submit(Drawing(folder, settings, room.desk.concepts))
    return go_to(f"/mosaics/{folder.name}")


def _title(asked: Asked) -> str:
    options = asked.options
    loras = [Path(name).name.removesuffix(LORA_SUFFIX) for name in options.get("tile_lora", ())]
    tiles = loras or options.get("tile_prompt", ())
    picture = Path(options.get("ref", "")).stem or options.get("ref_lora") or options.get(
        "ref_prompt", ""
    )  # fmt: skip
    return "-".join(filter(None, (*tiles[:2], picture))) or "mosaic"


def _free(folder: Path) -> Path:
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found


class DraftName(StringConvertor):
    """A draft's name in an address: the digits that `_draft_folder` gives it."""

    regex = "[0-9a-f]{16}"


register_url_convertor("draft", DraftName())
ROUTES = [
    Route("/mosaics", listing),
    Route("/mosaics", make, methods=["POST"]),
    Route("/new", new),
    Route("/photos", photo, methods=["POST"]),
    Route("/photos/{name}", uploaded),
    Route("/loras", lora, methods=["POST"]),
    Route("/drafts", draft, methods=["POST"]),
    Route("/drafts/{name:draft}", draft_state),
    Route("/drafts/{name:draft}/preview.jpg", draft_preview),
]
