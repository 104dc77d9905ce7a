"""Settings of stage two (`mosaic-gen`), in groups by what they are about.

No two groups have a setting of the same name, so that a setting may be written without its group:
`mosaic.steps` is `mosaic.sampler.steps`.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, get_type_hints

from .errors import InputError
from .fields import MAX_SEED, Facts, Group, facts_of, require_one_of, setting
from .guides import GUIDES, GuideSettings, ProjectionSettings
from .machine import MachineSettings
from .methods import METHODS, MethodSettings, PoolSettings, SmaltiSettings
from .photos import PhotoSettings

SCHEDULERS = ("ddim", "dpm++", "unipc", "lcm")
MAX_STEPS = 1000  # timesteps that the models were trained at
MAX_SCALE = 100


@dataclass(frozen=True)
class PictureSettings(Group):
    """What is shown, near and from afar."""

    section: ClassVar[str] = "mosaic.picture"

    level: int = setting(3, at_least=0, at_most=7, replaces=("grid",))
    """Mosaic level L of the paper: 2^L x 2^L tiles."""
    grid: str = setting("", replaces=("level",))
    """Any other grid, ROWSxCOLS such as "12x16"; overrides the level."""
    tile_size: int | None = setting(None, above=0, at_most=4096, none="auto")
    """Side of a tile in pixels; "auto" takes the base model's resolution."""
    ref: str = setting("", path=True, identity=False, replaces=("ref_lora", "ref_prompt"))
    """Reference photo, a path."""
    crop: str = "center"
    """What of the reference stays where it has another aspect than the grid: "center", "top", or
    the point that is to lie in the middle, as shares of width and height such as "0.5,0.3"."""
    ref_lora: tuple[str, ...] = setting((), replaces=("ref",))
    """Concepts drawn in the reference, several together; one name alone is a list of one."""
    ref_trigger: str = ""
    """Words that call the reference's LoRA where that is another trainer's."""
    ref_prompt: str = setting("", replaces=("ref",))
    """Prompt of the reference; <concept> stands for its concept, and <NAME> for one of several."""
    tile_lora: tuple[str, ...] = setting((), replaces=("pool",))
    """Concepts drawn in the tiles: names, or files of LoRA, others' too."""
    tile_prompt: tuple[str, ...] = setting((), replaces=("pool",))
    """Prompts of the tiles; <concept> stands for each concept in turn, <NAME> for that one, of
    which a prompt may hold several; <color> is the block's."""
    tile_trigger: tuple[str, ...] = ()
    """Words that call a LoRA of another trainer where <concept> stands, one for each such
    --tile-lora; those that its file names are taken without."""
    region: tuple[str, ...] = ()
    """Where a concept of several stands, NAME=X0,Y0,X1,Y1 as shares of width and height, such as
    "pim=0,0,0.5,1"; without it they stand side by side, in the prompt's order."""
    negative_prompt: str = ""
    """What tiles and reference should not show."""
    lora_scale: float = setting(1.0, at_least=0, at_most=10)
    """Strength of the adapters, 0 to about 1.5."""
    low_pass_cells: int = setting(8, at_least=1, at_most=512)
    """The low band: so many cells per tile and axis follow the reference; "match" compares as
    many, "factorized" takes as many from the reference."""
    guidance_size: int | None = setting(None, above=0, at_most=4096, none="auto")
    """Side of a block in pixels, at which Eq. 7 compares it with its tile; "auto" is a tile's
    share of a reference as large as one tile."""
    tint: float = setting(0.0, at_least=0, at_most=1)
    """Most that a drawn tile's values may be shifted towards its block, 0 to 1: 0 is never."""
    reference_steps: int = setting(30, at_least=1, at_most=MAX_STEPS)
    """Denoising steps of a drawn reference; fewer than `steps` count as `steps`."""
    reference_cfg_scale: float | None = setting(None, above=0, at_most=MAX_SCALE, none="auto")
    """Classifier-free guidance scale of a drawn reference; "auto" takes the tiles'."""
    seed: int = setting(0, at_least=0, at_most=MAX_SEED)
    """Seed of everything random."""

    def __post_init__(self) -> None:
        """One name alone is a list of one, as in a file of settings."""
        if isinstance(self.ref_lora, str):
            object.__setattr__(self, "ref_lora", (self.ref_lora,) if self.ref_lora else ())
        super().__post_init__()

    def identity(self) -> dict[str, Any]:
        """The settings by name; a single concept of the reference as it always was, by itself."""
        named = super().identity()
        return named if len(self.ref_lora) > 1 else named | {"ref_lora": "".join(self.ref_lora)}


@dataclass(frozen=True)
class SamplerSettings(Group):
    """How a tile is denoised."""

    section: ClassVar[str] = "mosaic.sampler"

    steps: int = setting(6, at_least=1, at_most=MAX_STEPS)
    """Denoising steps."""
    scheduler: str = setting("dpm++", choices=SCHEDULERS)
    """"ddim", "dpm++", "unipc" or "lcm"."""
    cfg_scale: float = setting(
        7.5, at_least=0, at_most=MAX_SCALE, replaces=("concept_cfg_scale",)
    )
    """Classifier-free guidance scale; 1 switches it off."""
    concept_cfg_scale: float | None = setting(None, above=0, at_most=MAX_SCALE, none="off")
    """The scale where a concept is shown, pushed away from what the base draws without it; "off"
    takes `cfg_scale`, away from the negative prompt as the concept's adapter draws it."""
    cfg_start: float = setting(0.0, at_least=0, at_most=1)
    """Share of the steps before which there is no classifier-free guidance: a step costs half."""
    cfg_end: float = setting(1.0, at_least=0, at_most=1)
    """Share of the steps after which there is none."""
    regions_start: float = setting(0.2, at_least=0, at_most=1)
    """Share of the steps in which, where several concepts are shown together, the whole prompt
    draws alone; after it each concept draws its own region."""
    proof: bool = False
    """Decode tiles with the base's tiny decoder where it has one: faster, coarser."""

    def leaves_base(self, *, concept: bool) -> bool:
        """Whether guidance pushes away from what the base draws without the concept's adapter."""
        return concept and self.concept_cfg_scale is not None

    def scale_of(self, *, concept: bool) -> float:
        """The scale of guidance in a tile with or without a concept."""
        return self.concept_cfg_scale if self.leaves_base(concept=concept) else self.cfg_scale


@dataclass(frozen=True)
class MosaicSettings:
    """Stage two: reference and adapters become a mosaic (`mosaic-gen`)."""

    section: ClassVar[str] = "mosaic"

    picture: PictureSettings = PictureSettings()
    sampler: SamplerSettings = SamplerSettings()
    guide: GuideSettings = ProjectionSettings()
    method: MethodSettings = SmaltiSettings()
    photos: PhotoSettings = PhotoSettings()
    machine: MachineSettings = MachineSettings()

    def flat(self) -> dict[str, Any]:
        """Every setting by its own name, `guide` and `method` by theirs."""
        values = {"guide": self.guide.name, "method": self.method.name}
        for entry in fields(self):
            values.update(vars(getattr(self, entry.name)))
        return values

    @property
    def own_pictures(self) -> bool:
        """Whether tiles are pictures of the user's, so that none is drawn."""
        return isinstance(self.method, PoolSettings) and bool(self.method.pool)

    @property
    def idle(self) -> set[str]:
        """Settings that have no effect.

        The guide's, where the method follows none or guidance is off; what is said of photos where
        there are none. To say that there is no guidance is never idle.
        """
        usual = vars(PhotoSettings())
        said = {name for name, value in vars(self.photos).items() if value != usual[name]}
        return self._idle_guide() | (set() if self.photos.wanted else said)

    def _idle_guide(self) -> set[str]:
        if self.method.guided and self.guide.guidance:
            return set()
        spared = () if self.guide.guidance else ("guidance", "guide" * self.method.guided)
        return {"guide", *vars(self.guide)}.difference(spared)

    def identity(self) -> dict[str, Any]:
        """The settings that a tile's picture depends on, by name."""
        groups: list[Group] = [self.picture, self.sampler, self.method]
        named = {"method": self.method.name}
        if self.method.guided:
            named["guide"] = self.guide.name
            groups.append(self.guide)
        if self.photos.wanted:
            groups.append(self.photos)
        return named | {name: v for group in groups for name, v in group.identity().items()}


CHOSEN: dict[str, dict[str, type]] = {"guide": GUIDES, "method": METHODS}
"""Groups whose settings depend on a name, which TOML calls `name` and the options the group's."""
_PLAIN: dict[str, type] = {
    "picture": PictureSettings, "sampler": SamplerSettings, "photos": PhotoSettings,
    "machine": MachineSettings,
}  # fmt: skip


def group_classes(group: str) -> list[type]:
    """The class of a group, or those that its name chooses from."""
    return list(CHOSEN[group].values()) if group in CHOSEN else [_PLAIN[group]]


def group_names() -> list[str]:
    """The groups in the order in which they are shown."""
    return [entry.name for entry in fields(MosaicSettings)]


@cache
def setting_groups() -> dict[str, str]:
    """Which group each setting belongs to, the chosen names included."""
    groups = {name: name for name in CHOSEN}
    for group in group_names():
        for cls in group_classes(group):
            groups |= {entry.name: group for entry in fields(cls)}
    return groups


@cache
def setting_types() -> dict[str, Any]:
    """The declared type of each setting."""
    types: dict[str, Any] = dict.fromkeys(CHOSEN, str)
    for group in group_names():
        for cls in group_classes(group):
            hints = get_type_hints(cls)
            types |= {entry.name: hints[entry.name] for entry in fields(cls)}
    return types


@cache
def setting_facts() -> dict[str, Facts]:
    """The side facts of each setting."""
    facts = {name: Facts(choices=tuple(kinds)) for name, kinds in CHOSEN.items()}
    for group in group_names():
        for cls in group_classes(group):
            facts |= {entry.name: facts_of(entry) for entry in fields(cls)}
    return facts


def build_mosaic(values: dict[str, Any], wanted: frozenset[str] = frozenset()) -> MosaicSettings:
    """Settings from values by name; those that the chosen guide or method does not read are left.

    wanted: names that must have an effect. Raises InputError when one has none, for an unknown
    guide or method, and for a value out of its range.
    """
    groups, read = {}, set(CHOSEN)
    for group in group_names():
        cls = _class_of(group, values)
        own = {entry.name for entry in fields(cls)}
        groups[group] = cls(**{name: values[name] for name in own & values.keys()})
        read |= own
    if unread := sorted(wanted - read):
        raise InputError(_unread(unread[0], groups))
    mosaic = MosaicSettings(**groups)
    if idle := sorted(wanted & mosaic.idle):
        raise InputError(_idle(idle[0], mosaic))
    return mosaic


def _class_of(group: str, values: dict[str, Any]) -> type:
    if group not in CHOSEN:
        return _PLAIN[group]
    default = {"guide": ProjectionSettings.name, "method": SmaltiSettings.name}[group]
    name = values.get(group, default)
    require_one_of(f"mosaic.{group}", name, tuple(CHOSEN[group]))
    return CHOSEN[group][name]


def _unread(name: str, groups: dict[str, Any]) -> str:
    group = setting_groups()[name]
    readers = [n for n, cls in CHOSEN[group].items() if name in {e.name for e in fields(cls)}]
    return (
        f'mosaic.{name} is for --{group} {", ".join(readers)}; "{groups[group].name}" has no use '
        "for it. Leave it out or choose one of those."
    )


def _idle(name: str, mosaic: MosaicSettings) -> str:
    if name in vars(mosaic.photos):
        return f"mosaic.{name} has no effect: there are no photos. Add --tile-photos FOLDER."
    unguided = f"--method {mosaic.method.name} follows no guide"
    why = "guidance is off" if mosaic.method.guided else unguided
    return f"mosaic.{name} has no effect: {why}. Leave out one of the two."


def mosaic_settings(**values: Any) -> MosaicSettings:
    """Mosaic settings from values by name, the others at their defaults."""
    return build_mosaic(values, frozenset(values))


def changed(mosaic: MosaicSettings, **values: Any) -> MosaicSettings:
    """The settings with some changed, by name; raises InputError as `build_mosaic` does."""
    return build_mosaic(mosaic.flat() | values, frozenset(values))
