"""`mosaic view`: a page with the mosaic as a deep zoom, which opens from the disk."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo, is_zipfile

from PIL import Image

from ...configs.errors import InputError
from ...configs.files import replacing, sweep
from ...configs.progress import Report, reporting
from ...generate.locator import photo_rows
from ..extra import require
from .canvas import strips
from .files import tagged
from .finished import Finished, tile_facts
from .geometry import native_page
from .paper import save_jpeg
from .profiles import SRGB
from .stream import write_streamed

PAGE = Path(__file__).parent / "page"
DATA, INDEX = "data.js", "index.html"
PIECE, OVERLAP = 510, 1  # px of a piece of the pyramid, 512 with what it shares
QUALITY = 88
FILE_MODE = 0o644  # of what is unpacked
HERE = "<!-- provenance -->"


def write_view(
    mosaic: Finished, out: Path | None = None, *, progress: Report | None = None
) -> Path:
    """Write the page with everything it needs into a folder and return its index.html.

    out: see `view_folder`; an older page there is replaced. Raises InputError when something else
    is there, or when it cannot be written.
    """
    require("pyvips", "A page to look at")
    folder = view_folder(mosaic, out)
    _refuse_strangers(folder)
    sweep(folder.parent)
    with reporting(progress, "view") as report, replacing(folder) as temporary:
        temporary.mkdir()
        _write_pyramid(mosaic, temporary / "mosaic", folder, report)
        _write_reference(mosaic, temporary / "reference.jpg")
        _write_page(mosaic, temporary)
    return folder / INDEX


def view_folder(mosaic: Finished, out: Path | None = None) -> Path:
    """Where a mosaic's page goes: `out`, or FOLDER/view without one."""
    return out or mosaic.folder / "view"


def archive_of(folder: Path) -> Path:
    """Where a page's folder is packed to; raises InputError when another ZIP file is there."""
    path = folder.with_name(f"{folder.name}.zip")
    if path.exists():
        names = ZipFile(path).namelist() if is_zipfile(path) else []
        if f"{folder.name}/{DATA}" not in names:
            raise InputError(f"{path} holds other things; give --out the name of another folder.")
    return path


def pack_view(folder: Path) -> Path:
    """Put the folder of a page into one file beside it, whose path is returned.

    Its pictures are compressed already, so nothing is; the same page gives the same bytes. Raises
    as `archive_of`, and as `replacing` does.
    """
    path = archive_of(folder)
    with replacing(path) as temporary, ZipFile(temporary, "w", ZIP_STORED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = ZipInfo(file.relative_to(folder.parent).as_posix())
            entry.file_size, entry.external_attr = file.stat().st_size, FILE_MODE << 16
            with file.open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)
    return path


def _refuse_strangers(folder: Path) -> None:
    if folder.is_file():
        raise InputError(f"{folder} is a file; give --out the name of a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / DATA).is_file():
        raise InputError(f"{folder} holds other things; give --out the name of a new folder.")


def _write_pyramid(mosaic: Finished, path: Path, folder: Path, report: Report) -> None:
    """A deep zoom pyramid beside `path`, its pieces JPEGs in sRGB with XMP.

    folder: what messages name.
    """
    page = native_page(mosaic.grid)

    def write(image: Any) -> None:
        tagged(image, page.dpi, mosaic.xmp).dzsave(
            str(path), suffix=f".jpg[Q={QUALITY}]", tile_size=PIECE, overlap=OVERLAP, keep="xmp"
        )

    write_streamed(page.size, strips(mosaic, page, report), write, folder)
    for extra in (path.with_suffix(".dzi"), Path(f"{path}_files/vips-properties.xml")):
        extra.unlink(missing_ok=True)  # what they say stands in data.js


def _write_reference(mosaic: Finished, path: Path) -> None:
    """The reference; one that a model drew says so, and a photo is not said to be drawn."""
    with Image.open(mosaic.reference) as image:
        picture = image.convert("RGB")
    if mosaic.settings.mosaic.picture.ref:
        picture.save(path, format="JPEG", quality=QUALITY, icc_profile=SRGB.read_bytes())
    else:
        save_jpeg(picture, path, mosaic.xmp)


def _write_page(mosaic: Finished, folder: Path) -> None:
    for source in PAGE.iterdir():
        if source.is_file() and source.name != INDEX:
            shutil.copyfile(source, folder / source.name)
    text = json.dumps(page_data(mosaic), ensure_ascii=True, separators=(",", ":"))
    (folder / DATA).write_text(f"window.SMALTI = {text};\n", encoding="utf-8")
    packet = f'<script type="application/rdf+xml">\n{mosaic.xmp.decode()}\n</script>'
    page = (PAGE / INDEX).read_text(encoding="utf-8").replace(HERE, packet)
    (folder / INDEX).write_text(page, encoding="utf-8")


def page_data(mosaic: Finished) -> dict[str, Any]:
    """What the page knows: sizes, tiles with subject, prompt and seed, and where photos lie."""
    subjects, prompts = Numbered(), Numbered()
    tiles = []
    for tile in mosaic.grid.tiles:
        facts = tile_facts(mosaic, tile)
        subject = Path(facts.get("concept") or facts.get("source") or facts.get("photo") or "").name
        seed = facts.get("seed")
        tiles.append([subjects[subject], prompts[facts.get("prompt", "")], seed])
    high, wide = mosaic.grid.canvas_size
    return {
        "name": mosaic.name,
        "rows": mosaic.grid.rows,
        "cols": mosaic.grid.cols,
        "width": wide,
        "height": high,
        "piece": PIECE,
        "overlap": OVERLAP,
        "command": redraw_command(mosaic),
        "subjects": list(subjects),
        "prompts": list(prompts),
        "tiles": tiles,
        "photos": [
            [name or Path(file).stem, file, row - 1, col - 1]
            for file, name, row, col, _ in photo_rows(mosaic.tiles)
        ],
    }


class Numbered(dict):
    """Texts by number, in the order in which they were first asked for."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]


def redraw_command(mosaic: Finished) -> str:
    """The command that draws a tile anew, with {tile} and {seed} to fill in."""
    folder = mosaic.folder.resolve()
    if folder.is_relative_to(Path.cwd()):  # a page that travels names no one's home
        folder = folder.relative_to(Path.cwd())
    return f"mosaic-gen --out {shlex.quote(str(folder))} --retile {{tile}} --seed {{seed}}"
