"""Ways to make a mosaic, one per file, all on the same grid, reference, prompts and adapters."""

from ...configs import methods as settings
from ...configs.mosaic import MosaicSettings
from .adain import Adain
from .base import Method
from .color_adapter import ColorAdapter
from .factorized import Factorized
from .from_reference import Img2Img, Quilt
from .histogram import Histogram
from .match import Match
from .noise_blend import NoiseBlend
from .smalti import Smalti
from .tone import Tone

_METHODS: dict[type[settings.MethodSettings], Method] = {
    settings.SmaltiSettings: Smalti(),
    settings.MatchSettings: Match(),
    settings.ToneSettings: Tone(),
    settings.HistogramSettings: Histogram(),
    settings.ColorAdapterSettings: ColorAdapter(),
    settings.AdainSettings: Adain(),
    settings.NoiseBlendSettings: NoiseBlend(),
    settings.Img2ImgSettings: Img2Img(),
    settings.QuiltSettings: Quilt(),
    settings.FactorizedSettings: Factorized(),
}


def method_of(mosaic: MosaicSettings) -> Method:
    """The method that the settings ask for."""
    return _METHODS[type(mosaic.method)]
