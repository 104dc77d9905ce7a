"""Samples composed at random: a subject at some place and size, before some background.

A sample is two layers over a two-colour ramp. The back layer is a scene, a pattern of small copies
of another picture, or a second subject; it may be absent. A million samples are composed once, as
rows of arrays, with their captions; they are rendered in batches later.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from . import captions
from .compositions import Compositions
from .corpus import Corpus
from .recipe_settings import CorpusSettings
from .recoloring import OWN_COLORS
from .subjects import CLOSE_UP_SHARE, Subject, find_subjects, subjects_toml


@dataclass(frozen=True)
class Layout:
    """Where a subject may stand, and before what."""

    backgrounds: dict[str, float]
    """Share of each kind of background behind a cut-out."""
    sizes: tuple[float, float]
    """Range of a cut-out's scale."""
    overhang: float
    """How far it may leave the picture, in half sides."""
    flips: tuple[int, ...]
    """1 as it is, -1 mirrored; drawn evenly."""


VARIED = Layout(
    {"white": 0.11, "named": 0.36, "random": 0.08, "ramp": 0.08, "scene": 0.24, "pattern": 0.07,
     "pair": 0.06},
    sizes=(0.7, 1.05), overhang=0.06, flips=(1, -1),
)
# With `corpus.plainest_only`: what hours on a processor can learn by heart is a subject that fills
# the picture, mostly on plain colour, and is not mirrored: most drawn animals look to the left, and
# a small network that sees both sides draws two heads.
PLAIN = Layout(
    {"white": 0.12, "named": 0.50, "random": 0.08, "ramp": 0.08, "scene": 0.22},
    sizes=(0.88, 1.02), overhang=0.02, flips=(1,),
)
NAMED_BACKGROUND_SHARE = 0.7  # of captions name the background
TINT_SHARE = 0.06  # of samples are tinted
FLOWER_SHARE = 0.35  # of patterns are flowers
ICON_WEIGHT = 0.25  # of flat icons beside fuller drawings of the same subject
STYLE_SHARE = 0.5  # of captions that name a style or a colour name a style
NO_BACK = (-1, (1, 1, 0, 0), False)  # back layer's index, place and wrap where there is none


def compose(
    corpus: Corpus, settings: CorpusSettings, count: int, seed: int
) -> tuple[Compositions, list[str]]:
    """Compose `count` samples and their captions; the same seed gives the same samples."""
    composer = _Composer(corpus, settings, Random(seed))
    *columns, texts = zip(*(composer.sample() for _ in range(count)), strict=True)
    types = (np.int32, *(np.float32,) * 2, np.int32, np.float32, np.bool_, *(np.float32,) * 3)
    arrays = (np.asarray(c, dtype=t) for c, t in zip(columns, types, strict=True))
    return Compositions(*arrays), list(texts)


class _Composer:
    """Draws one composition after the other; every draw comes from `random`, in a fixed order."""

    def __init__(self, corpus: Corpus, settings: CorpusSettings, random: Random) -> None:
        self.corpus, self.random, self.subject_share = corpus, random, settings.subject_share
        self.layout = PLAIN if settings.plainest_only else VARIED
        self.subjects = find_subjects(corpus, settings.subjects, settings.plainest_only)
        self.subject_weights = np.cumsum([s.weight for s in self.subjects]).tolist()
        self.within = [self._by_style(s.pictures) for s in self.subjects]
        balance = self._caption_balance()
        self.everything = np.cumsum(balance).tolist()
        self.scenes = self._scenes(settings.plainest_only)
        self.scene_weights = np.cumsum(balance[self.scenes]).tolist()
        self.patterns = [s for s in self.subjects if not corpus.opaque[s.pictures].any()]
        self.flowers = [s for s in self.patterns if "flower" in s.words]
        self.color_names = list(subjects_toml()["colors"])

    def _by_style(self, pictures: np.ndarray) -> list[float]:
        """Cumulative weights that let every style of a subject have its say."""
        styles = [self.corpus.texts["style"][i] for i in pictures]
        counts = Counter(styles)
        weights = [counts[style] ** -0.7 for style in styles]
        for position, picture in enumerate(pictures):
            if self.corpus.texts["kind"][picture] == "icon":
                weights[position] *= ICON_WEIGHT
        return np.cumsum(weights).tolist()

    def _scenes(self, plainest_only: bool) -> list[int]:
        """Full pictures that may lie behind a cut-out; the subjects' own with `plainest_only`."""
        scenes = [i for i in np.flatnonzero(self.corpus.opaque).tolist()
                  if "background" in self.corpus.texts["tags"][i].split("|")]
        if not plainest_only:
            return scenes
        own = {i for subject in self.subjects for i in subject.pictures.tolist()}
        return [i for i in scenes if i in own]

    def _caption_balance(self) -> np.ndarray:
        """A picture's weight falls with the root of how many share its caption."""
        texts = self.corpus.texts["caption"]
        counts = Counter(texts)
        return np.array([counts[text] ** -0.5 for text in texts])

    def sample(self) -> tuple:
        """One row of Compositions."""
        random, recolor = self.random, OWN_COLORS
        index, subject = self._picture()
        if subject is not None and subject.styles:
            close_up = False
            index, recolor, text = self._in_named_style_or_color(subject)
        else:
            phrase = captions.subject_phrase(self.corpus, index, subject, random)
            share = CLOSE_UP_SHARE if subject is None else subject.close_up_share
            close_up = random.random() < share
            text = captions.in_template(phrase, self.corpus.texts["style"][index], random, close_up)
        text = captions.with_detail(text, self.corpus, random)
        tint = [1.0, 1.0, 1.0]
        if random.random() < TINT_SHARE:
            tint = [random.uniform(0.45, 1) for _ in range(3)]
        if self.corpus.opaque[index]:
            row = (self._crop(), *NO_BACK, ((0, 0, 0),) * 2, 0.0, text)
        else:
            row = self._before(text, close_up)
        place, *rest, text = row
        return index, place, recolor, *rest, tint, captions.with_quality_phrase(text, random)

    def _picture(self) -> tuple[int, Subject | None]:
        """A picture, and the subject it was chosen for, if any."""
        random = self.random
        if self.subjects and random.random() < self.subject_share:
            positions = range(len(self.subjects))
            position = random.choices(positions, cum_weights=self.subject_weights)[0]
            subject = self.subjects[position]
            index = random.choices(subject.pictures, cum_weights=self.within[position])[0]
            return int(index), subject
        return random.choices(range(len(self.corpus)), cum_weights=self.everything)[0], None

    def _in_named_style_or_color(self, subject: Subject) -> tuple[int, tuple, str]:
        """A picture of the subject, and the style or colour that its caption names.

        Every style that it has comes as often as any other, whatever the number of its pictures.
        """
        styles: dict[str, list[int]] = {}
        for picture in subject.pictures.tolist():
            styles.setdefault(self.corpus.texts["style"][picture], []).append(picture)
        style = self.random.choice(sorted(styles))
        index = self.random.choice(styles[style])
        if not subject.colors or self.random.random() < STYLE_SHARE:
            phrase = captions.subject_phrase(self.corpus, index, subject, self.random)
            return index, OWN_COLORS, captions.in_style(phrase, style, self.random)
        name, color = self._named_color(subject.colors)
        phrase = f"{name} {self.random.choice(subject.words)}"
        return index, color, captions.in_template(phrase, "photo", self.random, close_up=False)

    def _crop(self) -> tuple[float, float, float, float]:
        """A window of a full picture: enlarged, shifted no further than its rim, maybe mirrored."""
        scale = self.random.uniform(1.0, 1.4)
        shift = [self.random.uniform(1 - scale, scale - 1) for _ in range(2)]
        return (scale * self.random.choice(self.layout.flips), scale, *shift)

    def _place(self, low: float, high: float) -> tuple[float, float, float, float]:
        """A cut-out of some size, kept mostly inside the picture."""
        scale = self.random.uniform(low, high)
        reach = abs(1 - scale) + self.layout.overhang
        shift = [self.random.uniform(-reach, reach) for _ in range(2)]
        return (scale * self.random.choice(self.layout.flips), scale, *shift)

    def _before(self, text: str, close_up: bool) -> tuple:
        """Place and background of a cut-out: a row but for index and tint, caption last."""
        random = self.random
        place = self._place(1.15, 1.6) if close_up else self._place(*self.layout.sizes)
        named = random.random() < NAMED_BACKGROUND_SHARE
        kinds = self.layout.backgrounds
        kind = random.choices(list(kinds), list(kinds.values()))[0]
        name, color = self._named_color()
        impossible = kind in ("scene", "pattern", "pair") and not (self.scenes and self.patterns)
        if impossible or (kind == "pair" and close_up):  # two fit in only when they are small
            kind = "named"
        if kind == "pair":
            layers, text = self._pair(text)
            return *layers, (color, color), 0.0, text
        if kind in ("scene", "pattern"):
            back, text = (self._scene if kind == "scene" else self._pattern)(text, named)
            return place, *back, (color, color), 0.0, text
        if kind in ("random", "ramp"):
            return place, *NO_BACK, *self._random_colors(kind), text
        if kind == "white":
            name, color, named = "white", (1.0, 1.0, 1.0), named and random.random() < 0.5
        text = captions.on_color(text, name, random) if named else text
        return place, *NO_BACK, (color, color), 0.0, text

    def _random_colors(self, kind: str) -> tuple[tuple[tuple[float, ...], ...], float]:
        """The two ends of a ramp, or one colour twice, and the ramp's angle."""
        first = tuple(self.random.random() for _ in range(3))
        last = tuple(self.random.random() for _ in range(3)) if kind == "ramp" else first
        return (first, last), self.random.uniform(0, 6.283)

    def _scene(self, text: str, named: bool) -> tuple[tuple, str]:
        """A window of a scene as back layer, and the caption that may name it."""
        scene = self.random.choices(self.scenes, cum_weights=self.scene_weights)[0]
        noun = captions.subject_phrase(self.corpus, scene, None, self.random)
        text = captions.before_scene(text, noun, self.random) if named else text
        return (scene, self._crop(), False), text

    def _pattern(self, text: str, named: bool) -> tuple[tuple, str]:
        """Small copies of another picture, flowers more often, and the caption that may name it."""
        random = self.random
        flower = self.flowers and random.random() < FLOWER_SHARE
        index, noun = self._other(self.flowers if flower else self.patterns)
        scale = random.uniform(0.22, 0.36)
        tile = (scale, scale, random.uniform(-1, 1), random.uniform(-1, 1))
        text = captions.on_pattern(text, noun, random) if named else text
        return (index, tile, True), text

    def _pair(self, text: str) -> tuple[tuple, str]:
        """A second subject at the other side: front place, back layer, caption."""
        random = self.random
        index, noun = self._other(self.patterns)
        side, scale = random.choice((1, -1)), random.uniform(0.45, 0.56)
        left = (scale, scale, side * 0.47, random.uniform(-0.2, 0.2))
        right = (scale, scale, -side * 0.47, random.uniform(-0.2, 0.2))
        return (left, index, right, False), f"{text} and {captions.with_article(noun)}"

    def _other(self, pool: list[Subject]) -> tuple[int, str]:
        """A cut-out of some other subject, and its plain noun."""
        subject = self.random.choice(pool)
        return int(self.random.choice(subject.pictures)), subject.words[0]

    def _named_color(self, names: Sequence[str] = ()) -> tuple[str, tuple[float, ...]]:
        """The name of one of these or all colours and a shade, slightly varied, RGB in [0, 1]."""
        name = self.random.choice(names or self.color_names)
        shade = self.random.choice(subjects_toml()["colors"][name])
        return name, tuple(min(1, max(0, (c + self.random.uniform(-10, 10)) / 255)) for c in shade)
