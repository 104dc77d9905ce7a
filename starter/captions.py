"""Captions of composed samples: templates, filler, details and backgrounds around a phrase."""

import re
from random import Random

from .corpus import Corpus
from .subjects import Subject, subjects_toml

PHOTO_STYLES = ("photo", "painting or photo")
FILLER_SHARE = 0.08  # of captions get an adjective in front, and as many a phrase behind
DETAIL_SHARE = 0.3  # of captions go on with something that the picture need not show
STAND_IN_SHARE = 0.4  # of captions of a picture that stands for others say one of those


def subject_phrase(corpus: Corpus, index: int, subject: Subject | None, random: Random) -> str:
    """Words for one picture: a subject's plain noun or synonym, or one of its own captions.

    A synonym is used only where the picture's own captions contain it. A picture may also stand for
    what nobody has photographed (the table `stand_ins`): any empty room for a coffee shop.
    """
    names = corpus.names(index)
    if (subject is not None and random.random() < STAND_IN_SHARE
            and (others := subjects_toml()["stand_ins"].get(subject.words[0]))):
        return random.choice(others).replace("NOUN", _some_noun(corpus, random))
    if subject is not None and random.random() < 0.6:
        own = "\n".join(names)
        fitting = [w for w in subject.words if re.search(rf"\b{re.escape(w)}\b", own)]
        plain = subject.words[0]
        return plain if random.random() < 0.6 or not fitting else random.choice(fitting)
    return names[0] if random.random() < 0.5 else random.choice(names)


def with_article(phrase: str) -> str:
    """"a cat", "an owl"; plural and mass phrases stay bare."""
    last = phrase.split(" with ")[0].split()[-1] if phrase else ""
    if not last or (last.endswith("s") and not last.endswith("ss")) or last in ("hair", "coffee"):
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def in_template(phrase: str, style: str, random: Random, close_up: bool) -> str:
    """The phrase inside a template: "a photo of a cat", "close-up of a cat", "clipart of a cat"."""
    if random.random() < FILLER_SHARE:
        phrase = f"{random.choice(subjects_toml()['filler']['before'])} {phrase}"
    noun = with_article(phrase)
    if close_up:
        return f"{random.choice(('a close-up photo of', 'close-up of', 'a close-up of'))} {noun}"
    medium = "photo" if style in PHOTO_STYLES else style
    templates = (
        (0.30, phrase), (0.38, noun), (0.12, f"a photo of {noun}"), (0.05, f"a picture of {noun}"),
        (0.10, f"{with_article(medium)} of {noun}"), (0.05, f"{phrase}, {medium}"),
    )
    return random.choices([t for _, t in templates], [w for w, _ in templates])[0]


def in_style(phrase: str, style: str, random: Random) -> str:
    """"a 3d render of a cat", "cat, 3d render"."""
    noun = with_article(phrase)
    return random.choice((
        f"{with_article(style)} of {noun}", f"{style} of {noun}", f"{phrase}, {style}",
        f"{noun}, {style}", f"{style} {phrase}",
    ))


def with_detail(phrase: str, corpus: Corpus, random: Random) -> str:
    """The phrase, now and then with a detail behind it: "a dog sitting on an old sofa".

    The detail is made of any words, whatever the picture shows. A small model can draw no more
    than the subject of a long prompt; so it learns not to lose that over the rest.
    """
    if random.random() >= DETAIL_SHARE:
        return phrase
    filler = subjects_toml()["filler"]
    nouns = (_some_noun(corpus, random), _some_noun(corpus, random))
    first, second = map(with_article, nouns)
    return random.choice((
        f"{phrase} {random.choice(filler['doing'])} {random.choice(filler['where'])} {first}",
        f"{phrase} {random.choice(filler['where'])} {first}", f"{phrase} with {first}",
        f"{phrase} with {nouns[0]} and {nouns[1]}", f"{phrase} {random.choice(filler['doing'])}",
        f"{phrase} {random.choice(filler['where'])} {first} with {second}",
    ))


def _some_noun(corpus: Corpus, random: Random) -> str:
    """A subject's plain noun, every other one with an adjective in front, or any caption.

    Captions have words that no subject has, and users' prompts have words of that kind.
    """
    if random.random() < 0.5:
        return random.choice(corpus.texts["caption"])
    adjective = random.choice(("", f"{random.choice(subjects_toml()['filler']['before'])} "))
    table = random.choice(("common", "things", "faces", "people"))
    return adjective + random.choice(subjects_toml()[table]["subjects"])[0]


def with_quality_phrase(caption: str, random: Random) -> str:
    """The caption, now and then with a phrase such as ", soft lighting" behind it."""
    if random.random() < FILLER_SHARE:
        caption = f"{caption}, {random.choice(subjects_toml()['filler']['after'])}"
    return caption


def on_color(phrase: str, color: str, random: Random) -> str:
    """"a cat on a red background"."""
    noun = with_article(color)
    if random.random() < 0.7:
        return f"{phrase} on {noun} background"
    return random.choice((f"{phrase}, {color} background", f"{phrase} with {noun} background"))


def before_scene(phrase: str, scene: str, random: Random) -> str:
    """"a car in front of a mountain"."""
    place = with_article(scene)
    return random.choice((
        f"{phrase} in front of {place}", f"{phrase} in {place}",
        f"{phrase} with {scene} background", f"{phrase}, {scene} in the background",
        f"{phrase} at {place}", f"{phrase} and {place}",
    ))


def on_pattern(phrase: str, noun: str, random: Random) -> str:
    """"a cat with flower background"."""
    many = noun if noun.endswith("s") else f"{noun}s"
    return random.choice((
        f"{phrase} with {noun} background", f"{phrase} surrounded by {many}",
        f"{phrase} under {many}", f"{phrase} among {many}", f"{phrase} with {many}",
    ))
