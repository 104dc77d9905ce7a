"""Cut-outs recoloured: "a blue car", whatever colours the corpus's cars have."""

import torch
from torch import Tensor

OWN_COLORS = (-1.0, -1.0, -1.0)
"""In place of a colour: the picture keeps its own."""
OPACITY = 0.85  # of the new colour: what shows through keeps windows apart from doors
LUMA = (0.299, 0.587, 0.114)  # Rec. 601
MIDDLE = (0.05, 0.95)  # a picture nearly all black or white has tones on both sides, too


def recolored(layer: Tensor, colors: Tensor) -> Tensor:
    """Premultiplied pictures `[K, 4, S, S]`, each in its colour `[K, 3]` in [0, 1], or in its own.

    Tones run from black through the colour to white: what is as light as the picture's median
    becomes the colour, so that a pale cup turns blue as a red car does, and eyes stay black.
    """
    chosen = (colors.amin(1) >= 0).nonzero()[:, 0].tolist()  # asked once: on a GPU it waits
    layer = layer.clone() if chosen else layer
    for picture, color in ((layer[k], colors[k]) for k in chosen):
        inside = picture[3] > 0.5
        if inside.any():
            own = picture[:3] / picture[3].clamp(min=1e-3)
            tones = _tones(own, inside, color[:, None, None])
            picture[:3] = torch.lerp(own, tones, OPACITY) * picture[3]
    return layer


def _tones(own: Tensor, inside: Tensor, color: Tensor) -> Tensor:
    """The picture `[3, S, S]` in tones of the colour; its median is taken `inside` `[S, S]`."""
    light = (own * own.new_tensor(LUMA)[:, None, None]).sum(0)
    middle = light[inside].median().clamp(*MIDDLE)
    above = ((light - middle) / (1 - middle)).clamp(0, 1)
    return color * (light / middle).clamp(max=1) * (1 - above) + above
