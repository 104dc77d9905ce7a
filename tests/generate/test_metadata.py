"""What pictures say of themselves: generation parameters, and who made them (IPTC)."""

from importlib.metadata import version
from xml.etree import ElementTree

import pytest
from drawn import change
from PIL import Image

from smalti.configs.mosaic import mosaic_settings
from smalti.generate.metadata import parameters_text, versions, xmp_packet

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def source_type(packet: str) -> str:
    """The last word of IPTC's DigitalSourceType, by an XML parser."""
    body = packet[packet.index("<x:xmpmeta") : packet.index("<?xpacket end")]
    (found,) = (e.attrib[IPTC] for e in ElementTree.fromstring(body).iter() if IPTC in e.attrib)
    return found.rpartition("/")[2]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"tile_prompt": ("a cat",)}, "trainedAlgorithmicMedia"),
        ({"ref": "photo.jpg"}, "compositeWithTrainedAlgorithmicMedia"),
        ({"ref": "photo.jpg", "method": "match"}, "compositeWithTrainedAlgorithmicMedia"),
        ({"ref": "photo.jpg", "method": "match", "pool": "mine"}, "composite"),
    ],
    ids=str,
)
def test_who_made_it(options, kind):
    assert source_type(xmp_packet(mosaic_settings(**options))) == kind


def fields_of(text: str) -> dict[str, str]:
    """The last line of the parameters as UIs read it."""
    return dict(part.split(": ") for part in text.splitlines()[-1].split(", "))


def test_parameters_are_those_that_uis_read(small):
    settings = change(small, negative_prompt="a dog", scheduler="ddim", cfg_scale=4.0)
    text = parameters_text(settings, "a cat", 5, (128, 192))
    assert text.splitlines()[:2] == ["a cat", "Negative prompt: a dog"]
    wanted = {
        "Steps": "3", "Sampler": "DDIM", "CFG scale": "4.0", "Seed": "5", "Size": "192x128",
        "Model": "tiny",
    }  # fmt: skip
    assert wanted.items() <= fields_of(text).items()
    assert "Mosaic method" not in fields_of(text)


def test_own_pictures_were_not_drawn_by_a_model(small):
    own = change(small, method="match", pool="mine", tile_prompt=())
    fields = fields_of(parameters_text(own, "", 0, (64, 64)))
    assert fields["Mosaic method"] == "match"
    assert not {"Steps", "Seed", "Model", "Sampler"} & fields.keys()


def test_a_finished_mosaic_carries_both(finished):
    with Image.open(finished / "mosaic.png") as image:
        image.load()
        parameters, packet = image.info["parameters"], image.info["XML:com.adobe.xmp"]
    assert "a dog" in parameters.splitlines()[0] and fields_of(parameters)["Size"] == "192x128"
    assert source_type(packet) == "trainedAlgorithmicMedia"
    with Image.open(finished / "tiles/r00_c00.png") as image:
        assert fields_of(image.info["parameters"])["Size"] == "64x64"


def test_versions_are_the_installed_ones():
    assert versions()["torch"] == version("torch") and versions()["pillow"] == version("pillow")
