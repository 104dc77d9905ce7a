"""The film: where it begins and ends, that it is even, and what players see."""

import json

import numpy as np
import pytest
from made_mosaics import canvas_of, made_mosaic
from PIL import Image

from smalti.studio.press import clip
from smalti.studio.press.clip import (
    FPS,
    SECONDS,
    Camera,
    eased,
    first_view,
    progress_at,
    view_of,
    write_clip,
)
from smalti.studio.press.finished import open_finished
from smalti.studio.press.provenance import verify


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A mosaic of 12 x 16 tiles of 64 px: three levels of a film of 240 px."""
    return open_finished(made_mosaic(tmp_path_factory.mktemp("clip") / "wide", 12, 16, 64))


def test_it_begins_with_a_tile_and_ends_with_the_whole(wide):
    camera = Camera(wide, (5, 7), side=240)
    assert camera.size == (240, 180)
    begin, end = camera.take(0), camera.take(SECONDS)
    tile = np.asarray(wide.read((5, 7)).resize((180, 180), Image.Resampling.LANCZOS))
    left = round(240 * (7 - camera.first[0]) / (camera.first[2] - camera.first[0]))
    shown = np.asarray(begin)[10:-10, left + 10 : left + 170].astype(int)
    assert np.abs(shown - tile[10:-10, 10:170]).mean() < 3
    whole = Image.fromarray(canvas_of(wide.folder, 12, 16)).resize((240, 180), Image.Resampling.BOX)
    assert np.abs(np.asarray(end).astype(int) - np.asarray(whole)).mean() < 6


def test_views_lie_in_each_other(wide):
    first = first_view(wide.grid, (0, 15))
    assert first == pytest.approx((16 - 4 / 3, 0, 16, 1))
    views = [view_of(width, wide.grid, first) for width in np.geomspace(4 / 3, 16, 20)]
    for inner, outer in zip(views, views[1:], strict=False):
        assert outer[0] <= inner[0] + 1e-9 and outer[1] <= inner[1] + 1e-9
        assert outer[2] >= inner[2] - 1e-9 and outer[3] >= inner[3] - 1e-9
    assert views[-1] == pytest.approx((0, 0, 16, 12))
    for left, top, right, bottom in views:
        assert (right - left) / (bottom - top) == pytest.approx(16 / 12)


def test_it_starts_and_stops_gently():
    steps = np.diff([progress_at(n / FPS) for n in range(SECONDS * FPS + 1)])
    assert progress_at(0) == 0 and progress_at(SECONDS) == 1 and (steps >= 0).all()
    assert steps[0] == steps[-1] == 0
    assert np.abs(np.diff(steps)).max() < 2e-3, "no jerk"
    assert eased(0.5) == pytest.approx(0.5)


def test_nothing_flickers(wide):
    """Brightness changes evenly, also where the pyramid's levels take turns."""
    camera = Camera(wide, (5, 7), side=240)
    assert len(camera.levels) >= 3
    means, sharpness = [], []
    for number in range(0, SECONDS * FPS, 2):
        pixels = np.asarray(camera.take(number / FPS)).astype(float)
        means.append(pixels.mean())
        sharpness.append(np.abs(np.diff(pixels, axis=1)).mean())
    assert np.abs(np.diff(means)).max() < 4
    assert np.abs(np.diff(means, 2)).max() < 1.5
    ratios = np.divide(sharpness[1:], sharpness[:-1])
    assert ratios.min() > 0.85 and ratios.max() < 1.2


def test_levels_stay_small_whatever_the_mosaic(wide):
    """No level is wider than twice the frame and the tiles that stand over."""
    camera = Camera(wide, (5, 7), side=120)
    for level in camera.levels:
        assert level.image.width <= 2 * 120 + 2 * level.side


@pytest.mark.slow
def test_players_see_eight_seconds(mosaic, tmp_path, read_by, monkeypatch):
    av = pytest.importorskip("av")
    monkeypatch.setattr(clip, "SIDE", 160)
    monkeypatch.setattr(clip.Camera.__init__, "__defaults__", (None, 160))
    film, loop = write_clip(mosaic, tmp_path / "film.mp4", progress=lambda *_: None)
    with av.open(str(film)) as opened:
        (stream,) = opened.streams
        assert (stream.width, stream.height, stream.frames) == (160, 120, SECONDS * FPS)
        assert float(stream.duration * stream.time_base) == pytest.approx(SECONDS)
        assert stream.codec_context.name in ("h264", "vp9") and stream.average_rate == FPS
        first = next(opened.decode(stream)).to_ndarray(format="rgb24")
    taken = np.asarray(clip.Camera(mosaic).take(0)).astype(int)
    assert np.abs(first - taken).mean() < 6, "colours survive the film"
    with Image.open(loop) as image:
        total = 0
        for frame in range(image.n_frames):
            image.seek(frame)
            total += image.info["duration"]
        assert total == 1000 * SECONDS and image.info["loop"] == 0
    for path in (film, loop):
        assert verify(path)[1]
        told = json.loads(read_by("exiftool", "-json", "-n", path))[0]
        assert told["DigitalSourceType"].endswith("/trainedAlgorithmicMedia")


def test_vp9_where_h264_is_missing():
    av = pytest.importorskip("av")

    class Without:
        error = av.error

        @staticmethod
        def Codec(name, mode):  # noqa: N802
            if name == "libx264":
                raise av.error.EncoderNotFoundError(0, "none")

    assert clip.codec_name(av) == "libx264"
    assert clip.codec_name(Without) == "libvpx-vp9"


def test_a_stopped_film_leaves_nothing(mosaic, tmp_path):
    pytest.importorskip("av")

    def stop(done, total, note):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clip(mosaic, tmp_path / "film.mp4", progress=stop)
    assert list(tmp_path.iterdir()) == []
