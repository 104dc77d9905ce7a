"""Tiles that a diffusion model draws: prompts, noise and recipe into the denoising loop."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from ..models.denoiser import Conditioning, Denoises, stacked
from ..models.denoising import OnStep, denoise, make_scheduler, noised_at
from ..models.randomness import keyed_generator
from .engine import Engine
from .grid import Tile
from .job import Job
from .methods.base import Made, Recipe
from .noise import tile_noise
from .regional import regional_denoiser, regional_texts
from .subjects import words_of
from .together import Cast, Company


class DenoisedTiles:
    """Makes batches of a job's tiles by a recipe.

    The prompts of a concept are encoded and its adapter is merged once, before its first batch.
    """

    def __init__(
        self, engine: Engine, job: Job, recipe: Callable[[Sequence[Tile], Tensor], Recipe]
    ):
        """Make tiles of `job` on `engine`; recipe: of tiles and their blocks [K, 3, b, b]."""
        self.engine, self.job, self.recipe = engine, job, recipe
        self.cast = Cast(job.adapters, job.mosaic.picture.region)
        self.texts, self.denoiser = cache(self._texts), cache(self._denoiser)

    def _texts(self, concept: str) -> dict[str, Conditioning]:
        """What the prompts of a concept's tiles condition with."""
        picture, path = self.job.mosaic.picture, self.job.adapters.get(concept)
        own = [s.prompt for s in self.job.subjects.values() if s.concept == concept]
        if company := self._company(concept):
            return regional_texts(self.engine, company, own, picture.lora_scale)
        own_words = self.engine.adapter(path).trigger if path else ""
        words = words_of(picture, concept) or own_words
        spoken = {prompt: self.cast.spoken(prompt, words) for prompt in own}
        texts = self.engine.encode(spoken.values(), path, picture.lora_scale)
        return {prompt: texts[said] for prompt, said in spoken.items()}

    def _company(self, concept: str) -> Company | None:
        """Who stands together in tiles of what they call their concept."""
        shown = next(s.prompt for s in self.job.subjects.values() if s.concept == concept)
        return self.cast.company(shown)

    def _denoiser(self, concept: str) -> Denoises:
        """The base's denoiser under the guidance that a concept's tiles take."""
        mosaic, sampler = self.job.mosaic, self.job.mosaic.sampler
        window = (sampler.cfg_start, sampler.cfg_end)
        if company := self._company(concept):
            side = (self.job.side, self.job.side)
            return regional_denoiser(self.engine, mosaic, company, side, window=window)
        return self.engine.guided(mosaic, self.job.adapters.get(concept), window=window)

    def __call__(
        self, tiles: Sequence[Tile], blocks: Tensor, on_step: OnStep | None
    ) -> Iterator[Made]:
        """Denoise tiles that share a concept, and decode them one by one."""
        subjects = [self.job.subjects[tile] for tile in tiles]
        clean = self._clean(tiles, blocks, subjects[0].concept, on_step)
        for subject, latent in zip(subjects, clean, strict=True):
            image = self._decoded(latent)
            yield Made(image, image, dict(vars(subject)))

    @torch.no_grad()
    def _decoded(self, latent: Tensor) -> Tensor:
        """The tile [3, H, H] in [0, 1] of clean latents [C, h, w]."""
        decode = self.engine.base.tile_decoder(proof=self.job.mosaic.sampler.proof)
        return decode(latent[None])[0].clamp(0, 1)

    def _clean(
        self, tiles: Sequence[Tile], blocks: Tensor, concept: str, on_step: OnStep | None
    ) -> Tensor:
        """Clean latents [K, C, h, w]."""
        engine, job, texts = self.engine, self.job, self.texts(concept)
        denoiser = self.denoiser(concept)
        base, sampler, guide = engine.base, job.mosaic.sampler, job.mosaic.guide
        engine.merge(job.adapters.get(concept), job.mosaic.picture.lora_scale)
        recipe = self.recipe(tiles, blocks)
        scheduler = make_scheduler(base, sampler.scheduler, sampler.steps)
        shown = stacked([texts[job.subjects[tile].prompt] for tile in tiles])
        return denoise(
            denoiser,
            scheduler,
            self._start(tiles, recipe, scheduler),
            replace(shown, residuals=recipe.residuals),
            align=recipe.align,
            guide=recipe.guide,
            window=(guide.guidance_start, guide.guidance_end),
            generators=[keyed_generator(job.seed, "tile", "steps", *tile) for tile in tiles],
            start=recipe.start,
            on_step=on_step,
        )

    def _start(self, tiles: Sequence[Tile], recipe: Recipe, scheduler: object) -> Tensor:
        """Latents [K, C, h, w] that denoising begins with."""
        job = self.job
        noise = torch.stack(
            [tile_noise(job.field, job.grid, t, job.side, job.seed, recipe.noise) for t in tiles]
        )
        if recipe.clean is None:
            return noise
        return noised_at(recipe.clean, noise, scheduler, recipe.start)
