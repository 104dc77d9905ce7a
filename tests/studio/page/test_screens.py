"""Every screen answers, shows what lies in the folders, and says what is not there."""

import html
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from training import make_concept

from smalti.configs.loading import resolve
from smalti.models.adapter_file import write_adapter
from smalti.train.concept import load_concept
from smalti.train.curve import draw_curve
from smalti.train.data.check import check_folder
from smalti.train.judged import Judged

SCREENS = ("/concepts", "/concepts/mug", "/concepts/mug/photos", "/concepts/mug/training",
           "/mosaics", "/new", "/mosaics/plain", "/mosaics/plain/tiles/1,2", "/orders",
           "/orders/sums")  # fmt: skip


@pytest.mark.parametrize("path", SCREENS)
def test_a_screen_answers_whole_and_in_part(client, path):
    for headers in ({}, {"hx-request": "true"}):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 200 and "text/html" in answer.headers["content-type"]


@pytest.mark.parametrize(
    "path", ["/mosaics/plain/preview.jpg", "/mosaics/plain/zoom/2/3_2.jpg",
             "/concepts/mug/photos/p0.png", "/concepts/mug/photos/p1.png/mask",
             "/mosaics/plain/reference.png"],
)  # fmt: skip
def test_pictures_are_pictures(client, path):
    answer = client.get(path)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("image/")


@pytest.mark.parametrize(
    "path", ["/mosaics/none", "/mosaics/plain/tiles/3,0", "/mosaics/plain/zoom/2/4_0.jpg",
             "/mosaics/plain/zoom/9/0_0.jpg", "/concepts/none", "/orders/one?reference=x",
             "/orders/report/exe"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(client, path):
    assert client.get(path).status_code == 404


def test_a_tile_says_what_it_shows_and_how_it_is_drawn_anew(client):
    text = client.get("/mosaics/plain/tiles/1,2").text
    assert "a &lt;concept&gt; &amp; number 2" in text and "--retile 1,2 --seed 2" in text


def test_a_caption_and_a_class_word_are_what_a_training_reads(client, desk):
    def captions() -> dict[str, str | None]:
        images = load_concept(desk.concepts / "mug").images
        return {item.path.name: item.caption for item in images}

    caption = "/concepts/mug/photos/p2.png/caption"
    assert client.post(caption, data={"caption": "a <concept>  by me"}).is_success
    assert client.post("/concepts/mug/class", data={"class_word": "cup"}).is_success
    assert load_concept(desk.concepts / "mug").class_word == "cup"
    assert captions()["p2.png"] == "a <concept> by me"
    assert client.post(caption, data={"caption": ""}).is_success
    assert captions()["p2.png"] is None


def test_a_painted_mask_has_the_photos_size_and_an_empty_one_goes(client, desk):
    def painted(color: int) -> dict:
        stream = io.BytesIO()
        Image.new("L", (36, 40), color).save(stream, "PNG")
        return {"mask": ("mask.png", stream.getvalue())}

    path = desk.concepts / "mug" / "p2.mask.png"
    assert client.post("/concepts/mug/photos/p2.png/mask", files=painted(255)).status_code == 200
    with Image.open(path) as mask:
        assert mask.size == (72, 80) and mask.getextrema() == (255, 255)
    assert client.post("/concepts/mug/photos/p2.png/mask", files=painted(0)).status_code == 200
    assert not path.exists()


def test_a_training_that_is_begun_here_judges_what_it_ends_with(client, desk, monkeypatch):
    """The command that is shown is the one that runs; a concept that judges for itself does so."""
    from smalti.studio.page.works import Works

    asked = []

    async def start(self, key, words):
        asked.append(words)

    monkeypatch.setattr(Works, "start", start)
    folder = make_concept(desk.concepts / "cup")
    shown = client.get("/concepts/cup/training").text
    assert client.post("/concepts/cup/training").status_code == 200
    (folder / "concept.toml").write_text('class_word = "cup"\n[train]\njudge_every = 7\n')
    assert client.post("/concepts/cup/training").status_code == 200
    steps = asked[0][asked[0].index("--judge-every") + 1]
    assert f"--judge-every {steps}" in shown and int(steps) > 100
    assert "--judge-every" not in asked[1]
    shutil.rmtree(folder)


def test_a_trained_concept_shows_what_it_reached(client, desk):
    folder, told = make_concept(desk.concepts / "cup"), {"name": "cup", "steps": 2}
    write_adapter(folder / "edlora.safetensors", {"x": torch.zeros(1)}, told, {})
    assert "not judged" in client.get("/concepts/cup/training").text
    work = folder / ".training"
    judged = [Judged(1, 0.3, 0.9), Judged(2, 0.61, 0.82), Judged(3, 0.5, 0.8), Judged(4, 0.4, 0.8)]
    (work / "judged").mkdir(parents=True)
    lines = [json.dumps({**vars(one), "loss": 1.0, "seconds": 1.0}) for one in judged]
    (work / "log.jsonl").write_text("\n".join(lines) + "\n")
    (work / "judged" / "chosen.json").write_text('{"step": 2, "of": 4}')
    (work / "settings.toml").write_text("[train]\nsteps = 9\njudge_every = 1\npatience = 2\n")
    draw_curve(judged, work / "judged.png")
    text = client.get("/concepts/cup/training").text
    assert all(told in text for told in ("0.610", "0.820", "step 2 of 4", "judged.png"))
    assert "Make a mosaic" in text, "its patience is at an end"
    assert client.get("/concepts/cup/validation/judged.png").headers["content-type"] == "image/png"
    assert "0.61" in client.get("/concepts").text
    (work / "settings.toml").write_text("[train]\nsteps = 9\njudge_every = 1\n")
    assert "Go on" in client.get("/concepts/cup/training").text
    shutil.rmtree(folder)


def test_a_mosaic_that_has_just_begun_hides_no_other(client, desk):
    """Its record is there a moment before it says how the mosaic is made."""
    folder, draft = desk.mosaics / "young", desk.drafts / ("0" * 16)
    for young in (folder, draft):
        young.mkdir(parents=True)
        (young / "mosaic.json").write_text('{"format": 2, "state": "unfinished"}')
    answer = client.get("/mosaics")
    assert answer.status_code == 200 and "plain" in answer.text and "young" not in answer.text
    assert "<img" not in client.get(f"/drafts/{draft.name}").text
    for young in (folder, draft):
        shutil.rmtree(young)


def test_a_page_to_keep_is_one_file(client, desk, monkeypatch):
    from smalti.studio.page.works import Works

    folder, asked = desk.mosaics / "plain", []

    async def start(self, key, words):
        asked.append(words)

    monkeypatch.setattr(Works, "start", start)
    assert client.post("/mosaics/plain/write/view").status_code == 204
    assert asked == [["view", str(folder), "--zip"]]
    with zipfile.ZipFile(folder / "view.zip", "w") as archive:
        archive.writestr("view/index.html", "<p>")
    assert "files/view.zip" in client.get("/mosaics/plain").text
    answer = client.get("/mosaics/plain/files/view.zip")
    assert answer.content == (folder / "view.zip").read_bytes()
    assert 'filename="plain-view.zip"' in answer.headers["content-disposition"]
    (folder / "view.zip").unlink()


def test_a_dropped_table_waits_in_the_hot_folder(client, desk, monkeypatch):
    from smalti.studio.page.works import Works

    started = []

    async def start(self, key, words):
        started.append(words)

    monkeypatch.setattr(Works, "start", start)
    files = [
        ("files", ("day/orders.csv", b"reference\nA-1\n")),
        ("files", ("day/../../me.jpg", b"x")),
    ]
    assert client.post("/orders", files=files).status_code == 204
    (folder,) = (desk.orders / "inbox" / "incoming").iterdir()
    assert {path.name for path in folder.iterdir()} == {"orders.csv", "me.jpg"}
    assert started[0][:2] == ["orders", "watch"]
    assert client.post("/orders", files=[("files", ("me.jpg", b"x"))]).status_code == 400


def test_photos_are_looked_through_as_the_command_does(client, desk):
    checked = check_folder(desk.concepts / "mug", resolve(base=desk.base).base)
    found = [finding for photo in checked.photos for finding in photo.findings]
    text = client.get("/concepts/mug/photos").text
    assert found and all(html.escape(finding.text) in text for finding in found)
    assert text.count('class="verdict') >= len(checked.photos)


def test_a_thumbnail_shows_the_crop(client, desk):
    """Of a tall photo without a mask the middle square stays as it is, the rest is darker."""
    shown = Image.open(io.BytesIO(client.get("/concepts/mug/photos/p0.png").content)).convert("L")
    with Image.open(desk.concepts / "mug" / "p0.png") as photo:
        whole = photo.convert("L")
    rows = np.asarray(shown).mean(axis=1) / np.asarray(whole).mean(axis=1)
    assert rows[40] == pytest.approx(1, abs=0.1) and rows[0] == pytest.approx(0.4, abs=0.1)
