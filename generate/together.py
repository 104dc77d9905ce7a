"""Several concepts in one picture: how prompts name them, where each stands, what each pass says.

A prompt that names concepts of several adapters is drawn with a region for each of them; so is one
that names several of a fused adapter, where `--region` gives them places. Nothing here loads torch.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..configs.errors import InputError
from ..configs.mosaic import MosaicSettings, SamplerSettings
from ..configs.regions import Box, area, read_regions, side_by_side, window
from ..models.adapter_file import concepts_of, read_metadata
from ..models.exchange.header import is_own
from ..models.words import CONCEPT, concept_key, names_in, put_words
from .subjects import Subject

JOIN = " + "  # between names, which hold no blanks
ITEM = r"(?:(?:an?|the|one)\s+)?<[a-z0-9_-]+>"
AND = r"\s*(?:,\s*(?:and\b)?|\band\b|&|\bwith\b|\bbeside\b|\bnext\s+to\b)\s*"
LIST = re.compile(f"{ITEM}(?:{AND}{ITEM})+", re.IGNORECASE)
"""Names in a row, as in "a <harry>, <ron> and <hermione>"."""


@dataclass(frozen=True)
class Member:
    """A concept that prompts may name."""

    name: str
    """As it stands between < and >."""
    adapter: str
    """The concept whose adapter knows it, as the user gave it."""
    path: Path
    """That adapter's file."""
    words: str
    """What its name stands for in a prompt."""
    class_word: str


@dataclass(frozen=True)
class Company:
    """Concepts that are shown together, each in a region of its own."""

    members: tuple[Member, ...]
    boxes: tuple[Box, ...]

    @property
    def key(self) -> str:
        """What a tile that shows them says its concept is."""
        return JOIN.join(member.name for member in self.members)

    def whole(self, prompt: str) -> str:
        """What the pass without any adapter is told: class words in place of names."""
        return put_words(prompt, {member.name: member.class_word for member in self.members})

    def own(self, prompt: str, member: Member) -> str:
        """What one member's pass is told: of names in a row its own alone, else class words."""

        def alone(found: re.Match[str]) -> str:
            items = re.findall(ITEM, found[0], re.IGNORECASE)
            return next((item for item in items if names_in(item) == (member.name,)), found[0])

        words = {other.name: other.class_word for other in self.members}
        return put_words(LIST.sub(alone, prompt), words | {member.name: member.words})


class Cast:
    """The concepts that prompts may name, and where they stand."""

    def __init__(self, adapters: Mapping[str, Path], regions: Iterable[str] = ()):
        """Of adapters by the names that a user gave them, and regions as `--region` says them."""
        self.adapters = adapters
        self.boxes = {concept_key(n): box for n, box in read_regions(tuple(regions)).items()}
        self._known: dict[str, list[Member]] | None = None

    @property
    def known(self) -> dict[str, list[Member]]:
        """Concepts by name: that of their training, and that of their folder."""
        if self._known is None:  # files are looked into where a prompt names somebody
            self._known = {}
            for given, path in self.adapters.items():
                for member, names in _members(given, path):
                    for name in names:
                        self._known.setdefault(name, []).append(replace(member, name=name))
        return self._known

    def member(self, name: str, prompt: str) -> Member:
        """The concept of a name in a prompt; raises InputError for an unknown or doubtful one."""
        found = self.known.get(name, [])
        if len(found) == 1:
            return found[0]
        if found:
            both = " and ".join(dict.fromkeys(member.adapter for member in found))
            raise InputError(f"<{name}> in {prompt!r} may be {both}; rename the folder of one.")
        there = ", ".join(f"<{known}>" for known in self.known) or "none"
        raise InputError(
            f"The prompt {prompt!r} names <{name}>, but no adapter for it is given (known: "
            f"{there}); add --tile-lora or --ref-lora, or take out the < and >."
        )

    def named(self, prompt: str) -> tuple[Member, ...]:
        """The concepts that a prompt names, in its order."""
        names = names_in(prompt)
        if names and CONCEPT in prompt:
            raise InputError(f"{prompt!r} says {CONCEPT} beside <{names[0]}>; name every concept.")
        return tuple(self.member(name, prompt) for name in names)

    def company(self, prompt: str) -> Company | None:
        """Who is shown together; None for a prompt that one adapter draws in one pass.

        Raises InputError where only some of them have a place.
        """
        members = self.named(prompt)
        placed = [member.name for member in members if member.name in self.boxes]
        if len(members) < 2 or (len({member.adapter for member in members}) == 1 and not placed):
            return None
        if placed and len(placed) < len(members):
            missing = next(m.name for m in members if m.name not in self.boxes)
            raise InputError(f"--region gives no place to {missing}, which {prompt!r} shows too.")
        boxes = [self.boxes[name] for name in placed] or side_by_side(len(members))
        return Company(members, tuple(boxes))

    def show(self, subject: Subject) -> Subject:
        """The subject with the concept, or the company, that its prompt names."""
        if not (members := self.named(subject.prompt)):
            return subject
        company = self.company(subject.prompt)
        return replace(subject, concept=company.key if company else members[0].adapter)

    def spoken(self, prompt: str, trigger: str) -> str:
        """A prompt of one adapter, in its words; trigger: what <concept> stands for."""
        words = {member.name: member.words for member in self.named(prompt)}
        return put_words(prompt.replace(CONCEPT, trigger), words)

    def check(self, prompts: Iterable[str]) -> None:
        """Raise InputError for a name without adapter, and for a region that nobody has."""
        companies = [self.company(prompt) for prompt in prompts if names_in(prompt)]
        shown = {member.name for company in companies if company for member in company.members}
        if strangers := [name for name in self.boxes if name not in shown]:
            together = ", ".join(sorted(shown)) or "nobody"
            raise InputError(
                f"--region {strangers[0]}: the prompts show {together} together, not "
                f"{strangers[0]}. Name it in a prompt, or leave out its region."
            )


def _members(given: str, path: Path) -> Iterable[tuple[Member, set[str]]]:
    """The concepts of an adapter's file with the names that each goes by; others' have none."""
    if not is_own(path):
        return
    told = concepts_of(read_metadata(path))
    for own in told:
        names = {own.name}
        if len(told) == 1:
            names |= {concept_key(given), concept_key(Path(given).name)}
        yield Member(own.name, given, path, own.trigger, own.class_word or "thing"), names


def passes(company: Company | None, sampler: SamplerSettings) -> float:
    """Passes of the network that a step of a picture takes, on average over its steps.

    One of a part of the picture counts as that part.
    """
    pair = 1 + (sampler.cfg_scale != 1)
    if company is None:
        return pair
    seen = sum(area(window(box)) for box in company.boxes)
    seen += sum(map(area, company.boxes)) < 1 - 1e-9  # gaps are drawn as the whole is
    return pair * (sampler.regions_start + (1 - sampler.regions_start) * seen)


def mean_cost(cast: Cast, mosaic: MosaicSettings) -> float:
    """What a tile costs, in tiles of one concept or none."""
    prompts = mosaic.picture.tile_prompt
    plain = passes(None, mosaic.sampler)
    each = [passes(cast.company(prompt), mosaic.sampler) / plain for prompt in prompts]
    return sum(each) / len(each) if each else 1.0


def cost_told(cast: Cast, mosaic: MosaicSettings) -> str:
    """Who is shown together, where, and at which cost; empty where nobody is."""
    picture, found = mosaic.picture, {}
    for prompt in (picture.ref_prompt, *picture.tile_prompt):
        if company := cast.company(prompt):
            count = passes(company, mosaic.sampler)
            plain = passes(None, mosaic.sampler)
            found[company.key] = f"{company.key}: {count:.1f} passes per step in place of {plain}"
    return "; ".join(found.values())
