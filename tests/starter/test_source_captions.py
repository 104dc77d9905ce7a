"""Captions and choices of the drawn sources, on small synthetic packages."""

import json
from random import Random

import numpy as np
import pytest
from PIL import Image

from smalti.starter.sources import (
    dicebear,
    emoji,
    openclipart,
    raster,
)
from smalti.starter.sources.color_names import HAIR_COLORS, color_name
from smalti.starter.sources.emoji_names import EmojiNames, is_wanted, slug
from smalti.starter.sources.icons import is_noun, is_weather, noun_of, read_nouns
from smalti.starter.sources.licenses import LicenseError
from smalti.starter.sources.openclipart_titles import (
    clean_title,
    has_unwanted_words,
    is_wanted_folder,
    make_alternatives,
    make_caption,
    read_metadata,
    translate,
)
from smalti.starter.sources.records import Corpus

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100">
<metadata><rdf:RDF><Work><dc:title>{title}</dc:title><dc:description>{text}</dc:description>
<dc:creator><Agent><dc:title>Mario Rossi</dc:title></Agent></dc:creator>
<dc:subject><rdf:Bag><rdf:li>animal</rdf:li><rdf:li>pet</rdf:li></rdf:Bag></dc:subject>
<license rdf:resource="http://web.resource.org/cc/{license}"/></Work></rdf:RDF></metadata>
<circle cx="50" cy="50" r="40" fill="#c02020"/></svg>"""


class Folders:
    """Stands in for Packages: every package lies below one folder."""

    def __init__(self, root):
        self.root = root

    def folder(self, key):
        return self.root / key.replace("/", "-").replace(":", "-")

    def write(self, key, path, content):
        file = self.folder(key) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def draw(monkeypatch):
    """Draws a disc instead of the document, so that resvg is not needed."""

    def render(svg, width=raster.SIZE):
        rows, columns = np.mgrid[:width, :width] / width - 0.5
        alpha = 255 * (rows**2 + columns**2 < 0.2)
        pixels = np.stack([np.full((width, width), 200), alpha * 0, alpha * 0, alpha], axis=-1)
        return Image.fromarray(pixels.astype(np.uint8))

    for module in (emoji, openclipart, dicebear):
        monkeypatch.setattr(module, "render_svg", render)


@pytest.fixture
def emoji_packages(tmp_path):
    packages = Folders(tmp_path)
    skins = [{"label": "cook: dark skin tone", "hexcode": "1F9D1-1F3FF", "tone": 5}]
    entries = [
        ("cat face", "1F431", "🐱", 1, 10, []),
        ("coffin", "26B0-FE0F", "⚰️", 2, 20, []),
        ("cook", "1F9D1", "🧑", 0, 0, skins),
        ("black flag", "1F3F4", "🏴", 2, 20, []),
    ]
    data = [
        {"label": a, "hexcode": b, "emoji": c, "group": d, "subgroup": e, "skins": f, "tags": ["x"]}
        for a, b, c, d, e, f in entries
    ]
    base = "npm:emojibase-data"
    groups = {"0": "people-body", "1": "animals-nature", "2": "objects"}
    subgroups = {"0": "person-role", "10": "animal-mammal", "20": "other-object"}
    packages.write(base, "en/data.json", [*data, {"label": "tone", "hexcode": "1F3FB"}])
    packages.write(base, "meta/groups.json", {"groups": groups, "subgroups": subgroups})
    packages.write(base, "meta/unicode-names.json", {"26B0": "FUNERAL BOX"})
    codes = {"1F431": ["cat_face", "kitty2"], "26B0-FE0F": "casket"}
    for name in ("emojibase", "github", "cldr", "joypixels"):
        packages.write(base, f"en/shortcodes/{name}.json", codes)
    words = {"⚰": ["coffin_box", "burial", "R.I.P."]}
    packages.write("npm:emojilib", "dist/emoji-en-US.json", words)
    return packages


def test_emoji_names(emoji_packages) -> None:
    names = EmojiNames(emoji_packages)
    cat, coffin = names.find_code("1f431"), names.find_code("26b0")
    assert cat.names[:2] == ("cat", "cat face") and "kitty2" not in cat.names
    assert coffin is names.find_code("26B0-FE0F")
    assert coffin.names[0] == "coffin" and {"casket", "coffin box"} <= set(coffin.names)
    assert coffin.tags == ("x", "burial")
    assert names.find_code("1f3fb") is None
    dark = names.find_name("cook-dark")
    assert dark.names[0] == "cook with dark skin" and "cook dark skin tone" in dark.names


@pytest.mark.parametrize("name", ["coffin", "coffin-2", "funeral-box", "cof-fin", "coffinside"])
def test_emoji_are_found_under_many_spellings(emoji_packages, name) -> None:
    assert EmojiNames(emoji_packages).find_name(name).label == "coffin"


def test_signs_are_unwanted_and_few_skin_tones_are_kept(emoji_packages) -> None:
    names = EmojiNames(emoji_packages)
    assert is_wanted(names.find_name("coffin"), Random(0))
    assert not is_wanted(names.find_name("black-flag"), Random(0))
    dark, random = names.find_name("cook-dark"), Random(0)
    share = np.mean([is_wanted(dark, random) for _ in range(2000)])
    assert share == pytest.approx(0.22, abs=0.03)


def test_slug() -> None:
    assert slug("T. Rex’s Piñata & Co.") == "t-rexs-pinata-and-co"


def test_emoji_sets(emoji_packages, draw, tmp_path, monkeypatch) -> None:
    credit = {"style": "flat", "license": "MIT", "author": "Ann"}
    monkeypatch.setattr(emoji, "read_facts", lambda _: {"sets": {"tiny": credit}})
    icons = {"info": {"license": {"spdx": "MIT"}}, "chars": {"1f431": "puss"}}
    icons["icons"] = {name: {"body": "<g/>"} for name in ("puss", "unheard-of", "black-flag")}
    emoji_packages.write("npm:@iconify/json", "json/tiny.json", icons)
    corpus = Corpus()
    emoji.collect(emoji_packages, corpus)
    (picture,) = corpus.pictures
    assert picture.caption == "cat" and picture.origin.group == "animals-nature/animal-mammal"
    assert corpus.skipped["npm:@iconify-json/tiny", "no picture of a thing"] == 2
    with pytest.raises(LicenseError, match=r"MIT.*CC0-1\.0"):
        emoji.read_icon_set(emoji_packages, "tiny", "CC0-1.0")


def test_icons_are_nouns(emoji_packages) -> None:
    nouns = read_nouns(EmojiNames(emoji_packages))
    assert {"coffin", "cat", "castle"} <= nouns and "black-flag" not in nouns
    assert noun_of("coffee-cup-2-flat") == "coffee-cup"
    assert is_noun("hot-coffee-cup-1", nouns) and is_noun("coffin-flat", nouns)
    assert not is_noun("search-cat", nouns) and not is_noun("align-left", nouns)
    assert is_weather("rain-fill") and not is_weather("rain") and not is_weather("uv-index-fill")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("drawing of a Red_Rose 03", "red rose"),
        ("ClipArt by Ann - TallShip (remix).svg", "tall ship"),
        ("An illustration of an  OLD-house", "old house"),
        ("house v2 by jo", "house"),
        ("Bread, butter & jam 12", "bread, butter & jam"),
        ("clipart", ""),
    ],
)
def test_titles_are_cleaned(title, expected) -> None:
    assert clean_title(title) == expected


def test_titles_are_translated() -> None:
    assert translate("gatto nero con la casa") == "cat black house"
    assert translate("cane dog rosso") == "dog red"
    assert translate("turbo snail") == "snail"


def drawing(title, text="", license="PublicDomain"):
    return SVG.format(title=title, text=text, license=license)


@pytest.mark.parametrize(
    ("path", "title", "expected"),
    [
        ("animals/cat_01.svg", "Sleeping Cat 01", "sleeping cat"),
        ("animals/gatto_mario_rossi_.svg", "Unnamed", "cat"),
        ("animals/elefante_01.svg", "blue car", "elephant"),
        ("animals/mario_01.svg", "untitled", "pet"),
        ("food/mela_rossa_mario_01.svg", "Mela", "apple"),
    ],
)
def test_captions_of_drawings(path, title, expected) -> None:
    assert make_caption(path, read_metadata(drawing(title))) == expected


def test_drawings_that_are_no_things_are_left_out() -> None:
    assert is_wanted_folder("animals/birds") and is_wanted_folder("computer/hardware")
    assert not is_wanted_folder("shapes/arrows") and not is_wanted_folder("food/chess")
    assert has_unwanted_words("a/x.svg", read_metadata(drawing("Road Signs")))
    assert has_unwanted_words("a/pirate_flag_01.svg", read_metadata(drawing("Skull")))
    assert not has_unwanted_words("a/x.svg", read_metadata(drawing("Cat")))


def test_alternatives_of_drawings() -> None:
    data = read_metadata(drawing("Robin", text="A small   red bird."))
    names = make_alternatives("robin", "animals/birds/robin.svg", data)
    assert names == ["robin bird", "a small red bird"]
    story = read_metadata(drawing("Robin", text="My first drawing, created with a tool"))
    assert make_alternatives("robins", "animals/birds/robin.svg", story) == []


def test_only_public_domain_drawings_are_added(draw, tmp_path) -> None:
    corpus, path = Corpus(), tmp_path / "cat.svg"
    for license in ("PublicDomain", "GPL"):
        path.write_text(drawing("Cat", license=license))
        openclipart.add_drawing(path, "animals/housecats/cat.svg", corpus)
    (picture,) = corpus.pictures
    assert (picture.caption, picture.tags) == ("cat", ["animal", "pet"])
    assert corpus.skipped["deb:openclipart-svg", "no public-domain mark"] == 1


def test_svg_is_drawn() -> None:
    disc = '<circle cx="50" cy="50" r="40" fill="#c02020"/>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">{disc}</svg>'
    image = np.asarray(raster.render_svg(svg, 200))
    assert image.shape == (200, 200, 4)
    assert tuple(image[100, 100]) == (192, 32, 32, 255) and image[2, 2, 3] == 0


def test_colour_names() -> None:
    assert color_name("#1a1618", HAIR_COLORS) == "black"
    assert color_name((235, 210, 140), HAIR_COLORS) == "blonde"
    assert color_name("ff0000", ["green", "blue"]) in ("green", "blue")


def describe(style, **traits):
    names, tags = dicebear.describe(traits, dicebear.read_styles()[style], index=0)
    return names, [tag for tag in tags if tag]


def test_avatars_are_described() -> None:
    names, tags = describe("adventurer", hair="long14", hairColor="#ab2a18", glasses="variant01")
    assert names == [
        "anime girl face",
        "face of an anime girl with long red hair",
        "girl with long red hair",
        "portrait of a girl",
        "girl with glasses",
    ]
    assert tags[-4:] == ["anime", "long red hair", "red hair", "girl"]


def test_beards_baldness_and_smiles() -> None:
    names, tags = describe("micah", hair="mrClean", facialHair="beard", mouth="smile")
    assert names[:2] == ["man face", "face of a man"]
    assert names[-2:] == ["man with beard", "smiling man"] and "smile" in tags
    assert describe("personas", hair="long", hairColor="#000000")[0][0] == "woman face"
    names, _ = describe("adventurer", hair="short01", hairColor="#000000", features="mustache")
    assert names[-1] == "man with mustache"
    assert describe("notionists", hair="variant12")[0][1] in ("face of a man", "face of a person")
