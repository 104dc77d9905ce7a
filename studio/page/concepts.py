"""Addresses about concepts: photos in, looked at, described; trained while one watches."""

import asyncio
import shlex
from io import BytesIO
from pathlib import Path
from typing import Any

import tomli_w
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ...configs.errors import InputError
from ...configs.files import remove, replacing, write_text
from ...configs.loading import resolve
from ...configs.settings import Settings
from ...configs.tables import read_settings_file
from ...models.concept_files import MASK_SUFFIX, concept_files
from ...models.concepts import WORK_FOLDER, concept_folders
from ...train.concept import MIN_IMAGES, load_concept
from ...train.judged import CURVE
from .desk import Missing, new_name
from .examine import cropped, verdicts
from .learned import common_words, read_card, read_training
from .render import Room, form_of, go_to, page, picture, room_of, text_of
from .uploads import keep

THUMBNAIL = 360  # px


async def listing(request: Request) -> Response:
    """All concepts."""
    cards = [read_card(folder) for folder in concept_folders(room_of(request).desk.concepts)]
    return page(request, "concepts.html", title="Concepts", cards=cards)


async def new(request: Request) -> Response:
    """Make a folder for a new concept."""
    desk, form = room_of(request).desk, await form_of(request)
    name = new_name(text_of(form, "name"), "concept")
    if any(path.name.casefold() == name.casefold() for path in concept_folders(desk.concepts)):
        raise InputError(f"There is a concept {name} already.")
    folder = desk.concepts / name
    folder.mkdir(parents=True)
    return go_to(f"/concepts/{name}")


def _concept(request: Request) -> Path:
    return room_of(request).desk.concept(request.path_params["name"])


async def one(request: Request) -> Response:
    """A concept: its photos, its words, its training."""
    room, folder = room_of(request), _concept(request)
    return page(
        request, "concept.html", title=folder.name, words=common_words(), least=MIN_IMAGES,
        **_facts(room, folder),
    )  # fmt: skip


async def photos(request: Request) -> Response:
    """The photos alone, looked through: what is wrong with each of them."""
    room, folder = room_of(request), _concept(request)
    facts = _facts(room, folder)
    if facts["card"].photos:
        base = _settings(room, folder).base
        asked = room.examiner.once(_state(folder), verdicts, folder, base)
        facts["verdicts"], facts["of_all"] = await asked
    return page(request, "photos.html", least=MIN_IMAGES, **facts)


def _settings(room: Room, folder: Path) -> Settings:
    """The settings that a concept will be trained by."""
    desk = room.desk
    toml = folder / "concept.toml"
    return resolve(base=desk.base or None, concept_toml=toml, overrides=desk.overrides)


def _state(folder: Path) -> tuple[Any, ...]:
    """What changes with any file of a concept's folder."""
    return tuple(sorted((p.name, p.stat().st_mtime_ns) for p in folder.iterdir() if p.is_file()))


async def training(request: Request) -> Response:
    """The training alone, as far as it is."""
    room, folder = room_of(request), _concept(request)
    return page(request, "training.html", least=MIN_IMAGES, **_facts(room, folder))


def _facts(room: Room, folder: Path) -> dict[str, Any]:
    work = room.works.get(_key(folder))
    return {
        "card": read_card(folder),
        "training": read_training(folder),
        "work": work,
        "runs": bool(work and work.runs),
        "command": shlex.join(["mosaic", *_words(room, folder)]),
    }


def _words(room: Room, folder: Path) -> list[str]:
    """The words of the training's command: one that judges nothing judges what it ends with."""
    words = ["train", str(folder), *room.desk.words]
    try:
        train = _settings(room, folder).train
    except InputError:  # said when it is begun
        return words
    return words if train.judge_every else [*words, "--judge-every", str(train.steps)]


def _key(folder: Path) -> str:
    return f"concept/{folder.name}"


async def add(request: Request) -> Response:
    """Keep dropped photos; each is decoded, and what cannot be is named and left out."""
    room, folder, form = room_of(request), _concept(request), await form_of(request)
    faults = []
    for upload in form.getlist("photos"):
        if isinstance(upload, str):
            continue
        try:
            await keep(room.examiner, folder, upload)
        except InputError as fault:
            faults.append(str(fault))
    return page(request, "photos.html", least=MIN_IMAGES, faults=faults, **_facts(room, folder))


async def thumbnail(request: Request) -> Response:
    """A small picture of a photo that shows how it will be cropped."""
    room, params = room_of(request), request.path_params
    path = room.desk.photo(params["name"], params["photo"])
    base = _settings(room, path.parent).base
    data = await room.examiner.once(
        _state(path.parent), cropped, path, THUMBNAIL, read_card(path.parent).word, base.resolution
    )
    return picture(data)


async def mask(request: Request) -> Response:
    """A photo's mask in small."""
    room, path = room_of(request), _photo(request)
    masks = concept_files(path.parent).masks_of(path)
    if not masks:
        raise Missing("This photo has no mask.")
    return Response(await room.examiner.thumbnail(masks[0], THUMBNAIL), media_type="image/jpeg")


def _photo(request: Request) -> Path:
    params = request.path_params
    return room_of(request).desk.photo(params["name"], params["photo"])


async def take_away(request: Request) -> Response:
    """Remove a photo with its caption and mask."""
    room, path = room_of(request), _photo(request)
    files = concept_files(path.parent)
    for own in (*files.captions_of(path), *files.masks_of(path), path):
        remove(own)
    return page(request, "photos.html", least=MIN_IMAGES, **_facts(room, path.parent))


async def describe(request: Request) -> Response:
    """Write a photo's caption; an empty one removes it."""
    path, form = _photo(request), await form_of(request)
    captions = concept_files(path.parent).captions_of(path)
    target = captions[0] if captions else path.with_suffix(".txt")
    if text := " ".join(text_of(form, "caption").split()):
        write_text(target, text + "\n")
    else:
        remove(target)
    return Response(status_code=204)


async def paint(request: Request) -> Response:
    """Write a photo's mask, as painted; none of white removes it."""
    room, path, form = room_of(request), _photo(request), await form_of(request)
    upload = form.get("mask")
    if upload is None or isinstance(upload, str):
        raise InputError("Paint the subject in white first.")
    drawn = await upload.read()
    await room.examiner.ask(write_mask, path, drawn)
    return page(request, "photos.html", least=MIN_IMAGES, **_facts(room, path.parent))


def write_mask(photo: Path, drawn: bytes) -> None:
    """Bring a painted mask to the photo's size and write it beside the photo."""
    from PIL import Image

    from ...models.photos import read_photo

    with Image.open(BytesIO(drawn), formats=["PNG"]) as image:
        mask = image.convert("L").resize(read_photo(photo).size, Image.Resampling.BILINEAR)
    masks = concept_files(photo.parent).masks_of(photo)
    target = masks[0] if masks else photo.with_name(f"{photo.stem}{MASK_SUFFIX}")
    if mask.getextrema()[1] == 0:
        remove(target)
        return
    with replacing(target) as temporary:
        mask.save(temporary, "PNG")


async def name_class(request: Request) -> Response:
    """Write the class word into concept.toml."""
    folder, form = _concept(request), await form_of(request)
    word = " ".join(text_of(form, "class_word").split())
    path = folder / "concept.toml"
    content = read_settings_file(path) if path.is_file() else {}
    table = content.get("train") if isinstance(content.get("train"), dict) else None
    if table is not None and "class_word" in table:
        table["class_word"] = word
    else:
        content["class_word"] = word
    write_text(path, tomli_w.dumps(content))
    return Response(status_code=204)


async def train(request: Request) -> Response:
    """Begin to learn the concept, or go on."""
    room, folder = room_of(request), _concept(request)
    await asyncio.to_thread(load_concept, folder)
    words = _words(room, folder)
    if text_of(await form_of(request), "restart"):
        words.append("--restart")
    await room.works.start(_key(folder), words)
    return page(request, "training.html", least=MIN_IMAGES, **_facts(room, folder))


async def stop(request: Request) -> Response:
    """Ask the training to save itself and to end."""
    room_of(request).works.stop(_key(_concept(request)))
    return Response(status_code=204)


async def grid(request: Request) -> Response:
    """A validation grid, or the curve of what judged checkpoints reached."""
    folder = _concept(request)
    work = folder / WORK_FOLDER
    found = (work / "validation").glob("step_*.png")
    names = {path.name: path for path in (*found, folder / "validation.png", work / CURVE)}
    path = names.get(request.path_params["file"])
    if path is None or not path.is_file():
        raise Missing("There is no such picture.")
    return FileResponse(path)


ROUTES = [
    Route("/concepts", listing),
    Route("/concepts", new, methods=["POST"]),
    Route("/concepts/{name}", one),
    Route("/concepts/{name}/class", name_class, methods=["POST"]),
    Route("/concepts/{name}/photos", photos),
    Route("/concepts/{name}/photos", add, methods=["POST"]),
    Route("/concepts/{name}/photos/{photo}", thumbnail),
    Route("/concepts/{name}/photos/{photo}/mask", mask),
    Route("/concepts/{name}/photos/{photo}/mask", paint, methods=["POST"]),
    Route("/concepts/{name}/photos/{photo}/caption", describe, methods=["POST"]),
    Route("/concepts/{name}/photos/{photo}/delete", take_away, methods=["POST"]),
    Route("/concepts/{name}/training", training),
    Route("/concepts/{name}/training", train, methods=["POST"]),
    Route("/concepts/{name}/training/stop", stop, methods=["POST"]),
    Route("/concepts/{name}/validation/{file}", grid),
]
