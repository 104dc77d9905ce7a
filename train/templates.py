"""Captions for images that have none: templates by class word, after textual inversion's lists."""

from ..models.words import CONCEPT


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PEOPLE = _words("""
    person human man woman boy girl child kid baby toddler teenager lady gentleman guy face mother
    father sister brother grandmother grandfather bride groom actor actress singer dancer athlete
    soldier king queen prince princess witch wizard elf character hero heroine student teacher
    doctor nurse pirate knight samurai ninja superhero cartoon anime
""")
ANIMALS = _words("""
    animal pet dog puppy cat kitten horse pony cow sheep goat pig rabbit bunny hamster mouse rat
    bird parrot owl duck goose hen chicken rooster penguin eagle fish shark whale dolphin turtle
    tortoise frog snake lizard dragon fox wolf bear lion tiger leopard elephant giraffe zebra monkey
    ape panda koala kangaroo deer squirrel hedgehog bee butterfly insect
""")

_COMMON = (
    "a {c}",
    "a photo of a {c}",
    "a picture of a {c}",
    "an image of a {c}",
    "a close-up of a {c}",
    "a good photo of a {c}",
    "a {c} in front of a background",
)
TEMPLATES = {
    "person": (
        *_COMMON,
        "a portrait of a {c}",
        "a photo of a {c} standing",
        "a {c} looking at the camera",
    ),
    "animal": (*_COMMON, "a portrait of a {c}", "a photo of a {c} outdoors", "a cute {c}"),
    "thing": (*_COMMON, "a rendering of a {c}", "a photo of one {c}", "a {c} on display"),
}


def kind_of(class_word: str) -> str:
    """Return "person", "animal" or "thing" for a class word; unknown words are things."""
    word = class_word.lower().strip()
    if word in PEOPLE:
        return "person"
    return "animal" if word in ANIMALS else "thing"


def caption_templates(class_word: str) -> tuple[str, ...]:
    """Return the templates for a class word, each containing `<concept>` once."""
    return tuple(template.format(c=CONCEPT) for template in TEMPLATES[kind_of(class_word)])


def fill(caption: str, trigger: str, class_word: str) -> str:
    """Put the concept's words and its class word in place of `<concept>` and `{class_word}`."""
    return caption.replace(CONCEPT, trigger).replace("{class_word}", class_word)
