"""Where tiles are drawn: a loaded base, adapters, reference, noise field, and what tiles show."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from ..configs.settings import FROM_REFERENCE, MosaicSettings
from ..models.base import BaseModel, load_base
from ..models.concepts import find_adapter
from ..models.device import DTYPES, resolve_precision
from ..models.edlora import Adapter, fused, load_adapter, read_metadata, set_active
from .color import Align, enlarge, latent_alignment, pixel_alignment
from .grid import Grid, Tile, fit_reference, split_blocks
from .guidance import band_cells, goes_through_unet, make_guide, with_strength
from .methods.blending import blended, factorized
from .methods.classical import adjust
from .methods.color_adapter import palette_features
from .methods.img2img import encode_whole, first_step, start_latents
from .methods.pool import Source
from .noise import coarse_field, keyed_generator, normal, tile_noise
from .output import adapter_record, parameters_text
from .plan import MosaicPlan, choose_batch
from ..configs.progress import Report
from .reference import load_photo
from .sampler import OnStep, add_noise, encode_pair, make_scheduler, sample
from .subjects import CONCEPT, Subject, assign_subjects
from .tiles import TileStore
from .tint import correction_energy, tint


@dataclass(frozen=True)
class Studio:
    """Everything that tiles are drawn with; nothing in it depends on a batch."""

    base: BaseModel
    plan: MosaicPlan
    store: TileStore
    adapters: dict[str, Adapter]
    blocks: dict[Tile, Tensor]
    """Reference block of each tile, [3, b, b] in [0, 1]."""
    field: Tensor
    """The coarse noise field X, [C, rows*k, cols*k]."""
    subjects: dict[Tile, Subject]
    batch: int
    sources: dict[Tile, Source] | None = None
    """The pool's picture for each tile, for methods that draw none."""

    @cached_property
    def reference_latents(self) -> Tensor:
        """The whole reference encoded, [C, h, w]."""
        reference = self.store.reference()
        assert reference is not None, "a studio opens with its reference"
        return encode_whole(self.base, reference)


def open_studio(plan: MosaicPlan, store: TileStore, concepts_dir: Path, report: Report) -> Studio:
    """Load the base and the adapters, and get the reference, noise field and subjects."""
    settings, grid, mosaic = plan.settings, plan.grid, plan.settings.mosaic
    report(0, 1, "loading the base model")
    dtype = DTYPES[resolve_precision(mosaic.mixed_precision, plan.device)]
    base = load_base(
        settings.base,
        device=plan.device,
        dtype=dtype,
        attention=mosaic.attention,
        gradients=goes_through_unet(mosaic),
    )
    for module in (base.unet, base.vae):
        module.to(memory_format=torch.channels_last)  # a sixth faster, also backwards
    if mosaic.compile:
        base.unet.compile()
    adapters = load_adapters(base, (mosaic.ref_lora, *mosaic.tile_lora), concepts_dir)
    store.check_base(base.fingerprint)
    used = [adapter_record(name, adapter) for name, adapter in adapters.items()]
    # A restarted run takes the same batches, as far as memory allows, and so gives the same bytes.
    batch = mosaic.batch_size or store.recorded("batch") or choose_batch(base, settings, grid)
    facts = {"base_fingerprint": base.fingerprint, "device": str(base.device), "batch": batch}
    if mosaic.guidance and mosaic.guide == "projection":
        facts["latent_rgb_fit"] = round(base.linear_decoder.fit, 4)
    store.update(adapters=used, **facts)
    noise = None if mosaic.ref else reference_noise(base, mosaic.seed)
    if (reference := store.reference()) is None:
        report(0, 1, "reading the reference" if noise is None else "drawing the reference")
        picture = photo(mosaic) if noise is None else draw_reference(base, mosaic, adapters, noise)
        store.save_reference(fit_reference(picture, grid))
        reference = store.reference()  # in 8 bits, so that a restarted run sees the same picture
    assert reference is not None
    if mosaic.guidance and not goes_through_unet(mosaic):  # those have a weight instead
        mosaic = with_strength(mosaic, reference)
        store.update(guidance_strength=mosaic.guidance_strength)
    blocks = split_blocks(reference, grid)
    side = grid.tile // base.latent_factor
    return Studio(
        base=base,
        plan=replace(plan, settings=replace(settings, mosaic=mosaic)),
        store=store,
        adapters=adapters,
        blocks=dict(zip(grid.tiles, blocks, strict=True)),
        field=coarse_field(grid, base.latent_channels, side, mosaic.seed, noise),
        subjects=assign_subjects(mosaic, grid, blocks),
        batch=batch,
    )


def load_adapters(base: BaseModel, names: Iterable[str], concepts_dir: Path) -> dict[str, Adapter]:
    """Attach the adapters of all named concepts; none of them learns here.

    Each is attached once, also where a concept is named by its name here and by its path there;
    of two whose folders are both called "mug", the second's words are called "mug-2".
    """
    adapters: dict[str, Adapter] = {}
    loaded: dict[Path, Adapter] = {}
    for name in filter(None, names):
        path = find_adapter(name, concepts_dir)
        key = path.resolve()
        if key not in loaded:
            loaded[key] = load_adapter(base, path, free_name(base, path))
        adapters[name] = loaded[key]
    for module in (base.unet, base.text_encoder):
        module.requires_grad_(False)
    return adapters


def free_name(base: BaseModel, path: Path) -> str | None:
    """A name for an adapter whose own is taken by another one, None where it is not."""
    own = read_metadata(path).get("name", "")
    if own not in base.adapters:
        return None
    return next(name for n in count(2) if (name := f"{own}-{n}") not in base.adapters)


def photo(mosaic: MosaicSettings) -> Tensor:
    """The reference photo [3, H, W] in [0, 1]."""
    return load_photo(Path(mosaic.ref).expanduser())


def reference_noise(base: BaseModel, seed: int) -> Tensor:
    """Initial noise [C, h, w] of a reference that smalti draws; the tiles' field comes from it."""
    side = base.resolution // base.latent_factor
    return normal((base.latent_channels, side, side), seed, "reference")


@torch.no_grad()
def draw_reference(
    base: BaseModel, mosaic: MosaicSettings, adapters: dict[str, Adapter], noise: Tensor
) -> Tensor:
    """Draw the reference [3, H, W] in [0, 1] at the base's own resolution."""
    mosaic = replace(mosaic, cfg_scale=mosaic.reference_cfg_scale or mosaic.cfg_scale)
    subject = Subject(mosaic.ref_lora, mosaic.ref_prompt)
    text, negative = encode_subjects(base, mosaic, adapters, [subject])
    clean = sample(
        base,
        text,
        negative,
        noise[None],
        make_scheduler(base, mosaic.scheduler, max(mosaic.steps, mosaic.reference_steps)),
        cfg_scale=mosaic.cfg_scale,
        generators=[keyed_generator(mosaic.seed, "reference", "steps")],
    )
    return base.decode(clean)[0].clamp(0, 1).cpu()


@torch.no_grad()
def encode_subjects(
    base: BaseModel,
    mosaic: MosaicSettings,
    adapters: dict[str, Adapter],
    subjects: Sequence[Subject],
) -> tuple[Tensor, Tensor | None]:
    """Switch on the subjects' one concept and encode their prompts, each distinct one once.

    Returns text and negative text, [K, L, 77, D].
    """
    (concept,) = {subject.concept for subject in subjects}
    used = [adapters[concept]] if concept else []
    set_active(base, [adapter.name for adapter in used], mosaic.lora_scale)
    words = used[0].trigger if used else ""
    prompts = [subject.prompt.replace(CONCEPT, words) for subject in subjects]
    distinct = list(dict.fromkeys(prompts))
    text, negative = encode_pair(base, distinct, used, mosaic.negative_prompt, mosaic.cfg_scale)
    index = torch.tensor([distinct.index(prompt) for prompt in prompts], device=text.device)
    return text[index], None if negative is None else negative[index]


def draw_batch(
    studio: Studio,
    tiles: Sequence[Tile],
    fresh: Collection[Tile],
    seed: int,
    on_step: OnStep,
) -> None:
    """Draw a batch of tiles that share a concept, and store those that are `fresh`."""
    base, mosaic, grid = studio.base, studio.plan.settings.mosaic, studio.plan.grid
    blocks = torch.stack([studio.blocks[tile] for tile in tiles]).to(base.device)
    if studio.sources is None:
        facts = [vars(studio.subjects[tile]) for tile in tiles]
        images = drawn = denoise_tiles(studio, tiles, blocks, seed, on_step)
    else:
        sources = [studio.sources[tile] for tile in tiles]
        facts = [{"source": source.file.name, **vars(source.subject)} for source in sources]
        drawn = torch.stack([source.read(grid.tile) for source in sources]).to(base.device)
        images = adjust(drawn, blocks, mosaic)
    images = tint(images, blocks, cells=mosaic.low_pass_cells, amplitude=mosaic.tint)
    energy = correction_energy(images, drawn)
    for tile, image, fact, changed in zip(tiles, images.cpu(), facts, energy, strict=True):
        if tile in fresh:
            fact = {"seed": seed, "correction_energy": changed, **fact}
            text_chunk = parameters_text(
                studio.plan.settings, fact["prompt"], seed, (grid.tile, grid.tile)
            )
            studio.store.save(tile, image, fact, text_chunk)


def denoise_tiles(
    studio: Studio, tiles: Sequence[Tile], blocks: Tensor, seed: int, on_step: OnStep
) -> Tensor:
    """Draw tiles [K, 3, H, H] in [0, 1] that share a concept; blocks: [K, 3, b, b] in [0, 1]."""
    base, mosaic, grid = studio.base, studio.plan.settings.mosaic, studio.plan.grid
    side = grid.tile // base.latent_factor
    subjects = [studio.subjects[tile] for tile in tiles]
    text, negative = encode_subjects(base, mosaic, studio.adapters, subjects)
    noise = [tile_noise(studio.field, grid, tile, side, seed, mosaic.noise) for tile in tiles]
    latents, start = torch.stack(noise), first_step(mosaic)
    scheduler = make_scheduler(base, mosaic.scheduler, mosaic.steps)
    if mosaic.method in FROM_REFERENCE:
        clean = start_latents(studio, tiles, blocks)
        latents = add_noise(base, clean, latents, scheduler, start)
    align = make_alignment(base, mosaic, grid, blocks)
    guide = make_guide(base, mosaic, grid, blocks)
    residuals = []
    if mosaic.method == "color-adapter":
        residuals = palette_features(base, blocks, grid.tile, mosaic.adapter_scale)
    with fused(base.unet):
        clean = sample(
            base,
            text,
            negative,
            latents,
            scheduler,
            cfg_scale=mosaic.cfg_scale,
            cfg_window=(mosaic.cfg_start, mosaic.cfg_end),
            align=align,
            guide=guide,
            residuals=residuals,
            window=(mosaic.guidance_start, mosaic.guidance_end),
            generators=[keyed_generator(seed, "tile", "steps", *tile) for tile in tiles],
            start=start,
            on_step=on_step,
        )
    with torch.no_grad():
        return base.tile_decoder(proof=mosaic.proof)(clean).clamp(0, 1)


def make_alignment(
    base: BaseModel, mosaic: MosaicSettings, grid: Grid, blocks: Tensor
) -> Align | None:
    """What brings predictions near their blocks at every step, None when nothing does.

    Colour alignment as the settings ask for it, or what the method puts in its place.
    """
    if mosaic.method == "noise-blend":
        return blended(base.encode(enlarge(blocks, grid.tile)), mosaic.blend)
    if mosaic.method == "factorized":
        latents = base.encode(enlarge(blocks, grid.tile))
        return factorized(latents, band_cells(base, mosaic, grid))
    if not mosaic.color:
        return None
    if mosaic.color_space == "pixel":
        return pixel_alignment(base, blocks)
    return latent_alignment(base, blocks, grid.tile)
