"""Addresses about one mosaic: see it drawn, look into it, redraw a tile, take files."""

import asyncio
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ...configs.errors import InputError
from ...configs.mosaic import changed
from ...configs.presets import preset_names
from ...generate.grid import Tile
from ...generate.plan import plan_mosaic
from ...generate.retile import plan_retile
from ...generate.store import RECORD, REFERENCE, Store, tile_name
from ...generate.undo import take_back
from ..press.finished import open_finished
from .desk import Missing
from .drawing import Drawing, Rank
from .render import Room, form_of, page, picture, room_of, text_of
from .shown import Shown, is_begun, show
from .zoom import levels, piece_side

FILES = {
    "print": "A file for print",
    "proof": "A proof",
    "clip": "A film",
    "view": "A page to keep",
}
SENDS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".pdf", ".mp4", ".gif", ".zip")


def _mosaic(request: Request) -> Shown:
    return show(room_of(request).desk.mosaic(request.path_params["name"]))


async def one(request: Request) -> Response:
    """A mosaic: drawn so far, or to look into."""
    room = room_of(request)
    folder = room.desk.mosaics / request.path_params["name"]
    waiting, fault = room.drawer.state(folder), room.drawer.fault(folder)
    if (waiting is not None or fault) and not is_begun(folder):
        name = folder.name
        return page(request, "mosaic_waiting.html", title=name, name=name, fault=fault)
    mosaic = _mosaic(request)
    part = "mosaic_state.html" if request.headers.get("hx-request") else "mosaic.html"
    return page(
        request, part, title=mosaic.name, mosaic=mosaic, progress=waiting,
        fault=fault, works=_works(room, mosaic.name),
        files=list(_files(mosaic.folder)), kinds=FILES, levels=levels(mosaic.grid),
        side=piece_side(mosaic.grid), products=preset_names("product"),
        command=shlex.join(["mosaic", "gen", "--config", str(mosaic.folder / RECORD),
                            "--out", str(mosaic.folder)]),
    )  # fmt: skip


def _works(room: Room, name: str) -> dict[str, Any]:
    return {kind: room.works.get(f"mosaic/{name}/{kind}") for kind in FILES}


def _files(folder: Path) -> Iterable[tuple[str, int]]:
    """Names below the folder, and sizes, of what may be taken away."""
    found = [*folder.glob("*"), *folder.glob("print/*")]
    for path in sorted(found):
        hidden = path.name.startswith(".") or path.name == REFERENCE
        if path.is_file() and path.suffix.lower() in SENDS and not hidden:
            yield str(path.relative_to(folder)), path.stat().st_size


async def preview(request: Request) -> Response:
    """The whole mosaic in small, as far as it is drawn."""
    mosaic = _mosaic(request)
    zoom = room_of(request).zoom
    data = await asyncio.to_thread(zoom.preview, mosaic.folder, mosaic.grid)
    return picture(data)


async def piece(request: Request) -> Response:
    """A piece of the deep zoom."""
    mosaic = _mosaic(request)
    level, col, row = (request.path_params[name] for name in ("level", "col", "row"))
    span = 2 ** (levels(mosaic.grid) - 1 - level) if level < levels(mosaic.grid) else 0
    if not span or col * span >= mosaic.grid.cols or row * span >= mosaic.grid.rows:
        raise Missing("There is no such piece.")
    zoom = room_of(request).zoom
    return picture(await asyncio.to_thread(zoom.piece, mosaic.folder, mosaic.grid, level, col, row))


async def reference(request: Request) -> Response:
    """The picture that the tiles show from afar."""
    path = _mosaic(request).folder / REFERENCE
    if not path.is_file():
        raise Missing("There is no reference yet.")
    return FileResponse(path)


def _tile(request: Request, mosaic: Shown) -> Tile:
    tile = (request.path_params["row"], request.path_params["col"])
    if tile not in set(mosaic.grid.tiles):
        raise Missing("There is no such tile.")
    return tile


async def tile(request: Request) -> Response:
    """What is known of a tile, and how it is drawn anew."""
    mosaic = _mosaic(request)
    place = _tile(request, mosaic)
    store = Store(mosaic.folder, mosaic.grid)
    name = tile_name(place)
    known = mosaic.record.get("tiles", {}).get(name)
    facts = known or (await asyncio.to_thread(store.facts, [place]))[name]
    return page(
        request, "tile.html", mosaic=mosaic, row=place[0], col=place[1],
        facts=facts, replaced=store.kept(place).is_file(),
        command=shlex.join(["mosaic", "gen", "--out", str(mosaic.folder), "--retile",
                            f"{place[0]},{place[1]}"]),
    )  # fmt: skip


async def redraw(request: Request) -> Response:
    """Draw a tile anew with another seed or another prompt."""
    room, mosaic, form = room_of(request), _mosaic(request), await form_of(request)
    place = _tile(request, mosaic)
    try:
        seed = int(text_of(form, "seed"))
    except ValueError as error:
        raise InputError("The seed is a whole number.") from error
    given = {"seed": seed}
    if prompt := " ".join(text_of(form, "prompt").split()):
        given["tile_prompt"] = (prompt,)
    settings = replace(mosaic.settings, mosaic=changed(mosaic.settings.mosaic, **given))
    concepts = room.desk.concepts
    plan_retile(settings, mosaic.folder, [place], concepts_dir=concepts)
    room.drawer.submit(Drawing(mosaic.folder, settings, concepts, Rank.TILE, (place,)))
    return Response(status_code=204)


async def back(request: Request) -> Response:
    """Exchange a tile with the one that it replaced."""
    mosaic = _mosaic(request)
    await asyncio.to_thread(take_back, mosaic.folder, [_tile(request, mosaic)])
    return Response(status_code=204)


async def ready(request: Request) -> Response:
    """Let the page of a mosaic that was only begun load itself once there is something."""
    room = room_of(request)
    folder = room.desk.mosaics / request.path_params["name"]
    waits = room.drawer.state(folder) is not None and not is_begun(folder)
    return Response(status_code=204, headers={} if waits else {"HX-Refresh": "true"})


async def go_on(request: Request) -> Response:
    """Draw what is missing of a mosaic that was stopped."""
    room, mosaic = room_of(request), _mosaic(request)
    if not mosaic.finished:
        concepts = room.desk.concepts
        plan_mosaic(mosaic.settings, concepts_dir=concepts)
        room.drawer.submit(Drawing(mosaic.folder, mosaic.settings, concepts))
    return Response(status_code=204)


async def stop(request: Request) -> Response:
    """Draw no more of a mosaic."""
    room = room_of(request)
    room.drawer.cancel(room.desk.mosaic(request.path_params["name"]))
    return Response(status_code=204)


async def file(request: Request) -> Response:
    """One of the files that a mosaic's folder offers."""
    mosaic = _mosaic(request)
    name = request.path_params["file"]
    if name not in {known for known, _ in _files(mosaic.folder)}:
        raise Missing("There is no such file.")
    path = mosaic.folder / name
    return FileResponse(path, filename=f"{mosaic.name}-{path.name}")


async def write(request: Request) -> Response:
    """Write a print file, proof, film or page."""
    room, mosaic, form = room_of(request), _mosaic(request), await form_of(request)
    kind = request.path_params["kind"]
    if kind not in FILES:
        raise Missing("There is no such file to write.")
    await asyncio.to_thread(open_finished, mosaic.folder)
    words = [kind, str(mosaic.folder)]
    if kind == "print":
        words += _print_words(text_of(form, "product"), text_of(form, "size"))
    elif kind == "view":
        words.append("--zip")  # of many files a browser takes one
    await room.works.start(f"mosaic/{mosaic.name}/{kind}", words)
    return Response(status_code=204)


def _print_words(product: str, size_text: str) -> list[str]:
    from ..press.sizes import sized

    if size_text.strip():
        sized(size_text)
        return ["--size", size_text.strip()]
    if product not in preset_names("product"):
        raise InputError("Choose a product, or write a size such as 20x20cm.")
    return ["--product", product]


ROUTES = [
    Route("/mosaics/{name}", one),
    Route("/mosaics/{name}/stop", stop, methods=["POST"]),
    Route("/mosaics/{name}/go-on", go_on, methods=["POST"]),
    Route("/mosaics/{name}/ready", ready),
    Route("/mosaics/{name}/preview.jpg", preview),
    Route("/mosaics/{name}/reference.png", reference),
    Route("/mosaics/{name}/zoom/{level:int}/{col:int}_{row:int}.jpg", piece),
    Route("/mosaics/{name}/tiles/{row:int},{col:int}", tile),
    Route("/mosaics/{name}/tiles/{row:int},{col:int}", redraw, methods=["POST"]),
    Route("/mosaics/{name}/tiles/{row:int},{col:int}/back", back, methods=["POST"]),
    Route("/mosaics/{name}/write/{kind}", write, methods=["POST"]),
    Route("/mosaics/{name}/files/{file:path}", file),
]
