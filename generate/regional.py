"""Several concepts in one picture, drawn: a pass for each with its own adapter and words."""

from collections.abc import Iterable
from dataclasses import replace

from ..configs.mosaic import MosaicSettings
from ..models.denoiser import Conditioning
from ..models.regions import RegionalDenoiser, latent_window, soft_masks
from .engine import Engine
from .together import Company


def regional_texts(
    engine: Engine, company: Company, prompts: Iterable[str], lora_scale: float
) -> dict[str, Conditioning]:
    """What each prompt of a company conditions one sample with: the whole, and each member."""
    found = {}
    for prompt in dict.fromkeys(prompts):
        said = company.whole(prompt)
        parts = []
        for member in company.members:
            own = company.own(prompt, member)
            parts.append(engine.encode([own], member.path, lora_scale)[own])
        found[prompt] = replace(engine.encode([said], None, lora_scale)[said], parts=tuple(parts))
    return found


def regional_denoiser(
    engine: Engine,
    mosaic: MosaicSettings,
    company: Company,
    size: tuple[int, int],
    *,
    scale: float | None = None,
    window: tuple[float, float] = (0.0, 1.0),
) -> RegionalDenoiser:
    """The denoiser of pictures of a company, of `size` (h, w) in latent pixels.

    The whole is guided as a picture without a concept, each member as one with its own. scale: in
    place of the sampler's. No adapter is active afterwards.
    """
    scale_of, paths = mosaic.picture.lora_scale, [member.path for member in company.members]
    own = engine.take_turns(paths, scale_of)
    guided = [
        engine.guided(mosaic, path, scale=scale, window=window, own=own[path]) for path in paths
    ]
    whole = engine.guided(mosaic, None, scale=scale, window=window)
    engine.activate(None, scale_of)
    masks = soft_masks(company.boxes, *size).to(engine.base.device)
    windows = tuple(latent_window(box, *size) for box in company.boxes)
    return RegionalDenoiser(whole, tuple(guided), masks, windows, mosaic.sampler.regions_start)
