"""Addresses about mosaics: ask for one, see it drawn, look into it, redraw a tile, take files."""

import asyncio
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ...configs.errors import InputError
from ...configs.files import remove, replacing
from ...configs.loading import resolve
from ...configs.mosaic import changed
from ...configs.presets import preset_names
from ...configs.product import load_product
from ...configs.settings import Settings
from ...configs.tables import checked_tables
from ...generate.grid import Grid, Tile, make_grid
from ...generate.plan import plan_mosaic
from ...generate.retile import plan_retile
from ...generate.store import FINISHED, RECORD, Store, read_record, tile_name
from ...generate.undo import take_back
from ...models.concepts import ADAPTER_FILE, concept_folders
from ..press.finished import open_finished
from .asking import DRAFT, Asked, read_form
from .desk import Missing, file_name, new_name
from .drawing import Drawing, Rank
from .examine import size
from .render import Room, form_of, go_to, page, room_of, text_of
from .zoom import levels, piece_side

DRAFTS = ".drafts"
MAX_DRAFTS = 12
DRAFT_TILES = 12  # a side at most: a draft is to be there within seconds
FILES = {
    "print": "A file for print",
    "proof": "A proof",
    "clip": "A film",
    "view": "A page to keep",
}
SENDS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".pdf", ".mp4", ".gif", ".zip")


@dataclass(frozen=True)
class Shown:
    """What a page says of a mosaic."""

    name: str
    folder: Path
    settings: Settings
    grid: Grid
    record: dict[str, Any]
    there: int
    """Tiles that are drawn."""

    @property
    def finished(self) -> bool:
        """Whether mosaic.png shows all tiles."""
        return self.record.get("state") == FINISHED

    @property
    def version(self) -> int:
        """Changes when a tile does: part of a picture's address."""
        tiles = self.folder / "tiles"
        return tiles.stat().st_mtime_ns // 10**6 if tiles.is_dir() else 0


def show(folder: Path) -> Shown:
    """Read a mosaic's folder, finished or not; raises Missing when it holds none."""
    record = read_record(folder)
    if record is None or "settings" not in record:
        raise Missing("There is no mosaic here that says how it is made.")
    settings = resolve(recorded=checked_tables(record["settings"], str(folder / RECORD)))
    grid = make_grid(settings)
    tiles = folder / "tiles"
    there = sum(1 for path in tiles.glob("r*_c*.png")) if tiles.is_dir() else 0
    return Shown(folder.name, folder, settings, grid, record, there)


# --- the list, and a new one ------------------------------------------------------------------


async def listing(request: Request) -> Response:
    """All mosaics."""
    room = room_of(request)
    mosaics = [show(folder) for folder in room.desk.mosaic_folders()]
    part = "mosaics_list.html" if request.headers.get("hx-request") else "mosaics.html"
    return page(request, part, mosaics=mosaics, title="Mosaics")


async def new(request: Request) -> Response:
    """The form for a new mosaic."""
    desk = room_of(request).desk
    trained = [f.name for f in concept_folders(desk.concepts) if (f / ADAPTER_FILE).is_file()]
    products = [(name, load_product(name).title) for name in preset_names("product")]
    return page(
        request, "mosaic_new.html", title="New mosaic", concepts=trained, products=products,
        bases=preset_names("base"), presets=preset_names("mosaic"),
    )  # fmt: skip


async def photo(request: Request) -> Response:
    """Keep a dropped photo, and show it to be cropped."""
    room, form = room_of(request), await form_of(request)
    upload = form.get("photo")
    if upload is None or isinstance(upload, str):
        raise InputError("Drop one photo here.")
    data = await upload.read()
    folder = room.desk.uploads
    taken = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    path = folder / file_name(upload.filename or "photo.jpg", taken)
    await asyncio.to_thread(_keep, path, data)
    try:
        width, height = await room.examiner.ask(size, path)
    except InputError:
        remove(path)
        raise
    return page(request, "photo_crop.html", photo=path.name, width=width, height=height)


def _keep(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


async def uploaded(request: Request) -> Response:
    """A small picture of a dropped photo."""
    room = room_of(request)
    name = request.path_params["name"]
    known = {p.name: p for p in room.desk.uploads.iterdir()} if room.desk.uploads.is_dir() else {}
    if name not in known:
        raise Missing("That photo is not here.")
    return Response(await room.examiner.thumbnail(known[name], 900), media_type="image/jpeg")


async def _asked(request: Request) -> Asked:
    form = await form_of(request)
    fields = {name: text_of(form, name) for name in form}
    many = {"tile_lora": [v for v in form.getlist("tile_lora") if isinstance(v, str)]}
    return read_form(fields, many, room_of(request).desk.uploads)


async def draft(request: Request) -> Response:
    """Begin a draft of what the form says, in the place of the one before."""
    room, asked = room_of(request), await _asked(request)
    settings = await asyncio.to_thread(_draft_settings, asked, room.desk.concepts)
    folder = _draft_folder(room, settings)
    room.drawer.submit(Drawing(folder, settings, room.desk.concepts, Rank.DRAFT))
    return page(request, "draft.html", **_draft_facts(folder, settings, asked))


def _draft_settings(asked: Asked, concepts: Path) -> Settings:
    """The same in fewer, quicker tiles, checked."""
    quick = Asked(asked.base, DRAFT, asked.options, asked.print_as)
    settings = quick.settings()
    grid = make_grid(settings)
    most = max(grid.rows, grid.cols)
    if most > DRAFT_TILES:
        rows, cols = (max(1, round(n * DRAFT_TILES / most)) for n in (grid.rows, grid.cols))
        mosaic = changed(settings.mosaic, grid=f"{rows}x{cols}")
        settings = Settings(settings.base, settings.train, mosaic)
    plan_mosaic(settings, concepts_dir=concepts)
    return settings


def _draft_folder(room: Room, settings: Settings) -> Path:
    """A folder for these settings; the oldest drafts go."""
    drafts = room.desk.mosaics / DRAFTS
    digest = sha256(repr((settings.base, settings.mosaic)).encode()).hexdigest()[:16]
    if drafts.is_dir():
        old = sorted(drafts.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in old[: max(0, len(old) - MAX_DRAFTS)]:
            if room.drawer.state(path) is None:
                remove(path)
    return drafts / digest


def _draft_facts(folder: Path, settings: Settings, asked: Asked) -> dict[str, Any]:
    grid = make_grid(settings)
    command = shlex.join(
        ["mosaic", *Asked(asked.base, DRAFT, asked.options, asked.print_as).words()]
    )
    return {"name": folder.name, "rows": grid.rows, "cols": grid.cols, "command": command}


async def draft_state(request: Request) -> Response:
    """The draft as far as it is drawn."""
    room = room_of(request)
    folder = _one_draft(request)
    return page(
        request, "draft_state.html", name=folder.name, progress=room.drawer.state(folder),
        fault=room.drawer.fault(folder), version=_version(folder),
        ready=(folder / "mosaic.json").is_file(),
    )  # fmt: skip


def _version(folder: Path) -> int:
    tiles = folder / "tiles"
    return tiles.stat().st_mtime_ns // 10**6 if tiles.is_dir() else 0


def _one_draft(request: Request) -> Path:
    drafts = room_of(request).desk.mosaics / DRAFTS
    name = request.path_params["name"]
    known = {path.name: path for path in drafts.iterdir()} if drafts.is_dir() else {}
    if name not in known:
        raise Missing("That draft is not here any more; change something to draw it again.")
    return known[name]


async def make(request: Request) -> Response:
    """Draw the mosaic that the form says."""
    from ...cli.gen import slug

    room, asked = room_of(request), await _asked(request)
    form = await form_of(request)
    settings = await asyncio.to_thread(asked.settings)
    plan_mosaic(settings, concepts_dir=room.desk.concepts)
    given = text_of(form, "name").strip()
    name = new_name(given, "mosaic") if given else slug(_title(asked))
    folder = _free(room.desk.mosaics / name)
    folder.mkdir(parents=True)
    room.drawer.submit(Drawing(folder, settings, room.desk.concepts))
    return go_to(f"/mosaics/{folder.name}")


def _title(asked: Asked) -> str:
    options = asked.options
    tiles = options.get("tile_lora") or options.get("tile_prompt") or ()
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


# --- one mosaic -------------------------------------------------------------------------------


def _mosaic(request: Request) -> Shown:
    return show(room_of(request).desk.mosaic(request.path_params["name"]))


async def one(request: Request) -> Response:
    """A mosaic: drawn so far, or to look into."""
    room = room_of(request)
    folder = room.desk.mosaics / request.path_params["name"]
    waiting, fault = room.drawer.state(folder), room.drawer.fault(folder)
    if (waiting is not None or fault) and not (folder / RECORD).is_file():
        name = folder.name
        return page(request, "mosaic_waiting.html", title=name, name=name, fault=fault)
    mosaic = _mosaic(request)
    part = "mosaic_state.html" if request.headers.get("hx-request") else "mosaic.html"
    return page(
        request, part, title=mosaic.name, mosaic=mosaic, progress=waiting,
        fault=fault, works=_works(room, mosaic.name),
        files=list(_files(mosaic.folder)), kinds=FILES, levels=levels(mosaic.grid),
        side=piece_side(mosaic.grid), products=preset_names("product"),
        command=shlex.join(["mosaic", "gen", "--config", str(mosaic.folder / "mosaic.json"),
                            "--out", str(mosaic.folder)]),
    )  # fmt: skip


def _works(room: Room, name: str) -> dict[str, Any]:
    return {kind: room.works.get(f"mosaic/{name}/{kind}") for kind in FILES}


def _files(folder: Path) -> Iterable[tuple[str, int]]:
    """Names below the folder, and sizes, of what may be taken away."""
    found = [*folder.glob("*"), *folder.glob("print/*")]
    for path in sorted(found):
        hidden = path.name.startswith(".") or path.name == "reference.png"
        if path.is_file() and path.suffix.lower() in SENDS and not hidden:
            yield str(path.relative_to(folder)), path.stat().st_size


async def preview(request: Request) -> Response:
    """The whole mosaic in small, as far as it is drawn."""
    mosaic = _mosaic(request)
    zoom = room_of(request).zoom
    data = await asyncio.to_thread(zoom.preview, mosaic.folder, mosaic.grid)
    return _picture(data)


async def draft_preview(request: Request) -> Response:
    """The whole draft, as far as it is drawn."""
    mosaic = show(_one_draft(request))
    data = await asyncio.to_thread(room_of(request).zoom.preview, mosaic.folder, mosaic.grid)
    return _picture(data)


def _picture(data: bytes) -> Response:
    """A picture whose address changes with it."""
    headers = {"cache-control": "private, max-age=86400, immutable"}
    return Response(data, media_type="image/jpeg", headers=headers)


async def piece(request: Request) -> Response:
    """A piece of the deep zoom."""
    mosaic = _mosaic(request)
    level, col, row = (request.path_params[name] for name in ("level", "col", "row"))
    span = 2 ** (levels(mosaic.grid) - 1 - level) if level < levels(mosaic.grid) else 0
    if not span or col * span >= mosaic.grid.cols or row * span >= mosaic.grid.rows:
        raise Missing("There is no such piece.")
    zoom = room_of(request).zoom
    return _picture(
        await asyncio.to_thread(zoom.piece, mosaic.folder, mosaic.grid, level, col, row)
    )


async def reference(request: Request) -> Response:
    """The picture that the tiles show from afar."""
    path = _mosaic(request).folder / "reference.png"
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
    facts = await asyncio.to_thread(store.facts, [place])
    return page(
        request, "tile.html", mosaic=mosaic, row=place[0], col=place[1],
        facts=facts[tile_name(place)], replaced=store.kept(place).is_file(),
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
    waits = room.drawer.state(folder) is not None and not (folder / RECORD).is_file()
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
    Route("/mosaics", listing),
    Route("/mosaics", make, methods=["POST"]),
    Route("/new", new),
    Route("/photos", photo, methods=["POST"]),
    Route("/photos/{name}", uploaded),
    Route("/drafts", draft, methods=["POST"]),
    Route("/drafts/{name}", draft_state),
    Route("/drafts/{name}/preview.jpg", draft_preview),
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
