"""The licences that a picture of the starter's corpus may have, and reading licence statements.

Share-alike, copyleft and non-commercial works are refused, so that the trained weights owe nothing
but attribution.
"""

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ...configs.errors import SmaltiError

ALLOWED = {
    "Apache-2.0": ("Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    "MIT": ("MIT License", "https://opensource.org/license/mit"),
    "CC0-1.0": (
        "Creative Commons Zero 1.0 Universal",
        "https://creativecommons.org/publicdomain/zero/1.0/",
    ),
    "CC-BY-2.0": (
        "Creative Commons Attribution 2.0 Generic",
        "https://creativecommons.org/licenses/by/2.0/",
    ),
    "CC-BY-3.0": (
        "Creative Commons Attribution 3.0 Unported",
        "https://creativecommons.org/licenses/by/3.0/",
    ),
    "CC-BY-4.0": (
        "Creative Commons Attribution 4.0 International",
        "https://creativecommons.org/licenses/by/4.0/",
    ),
    "LicenseRef-PublicDomain": ("Public domain", ""),
}
"""SPDX identifier -> name and address of the licence."""


class LicenseError(SmaltiError):
    """A picture whose licence is not allowed in the corpus."""


def check_license(license: str, source: str) -> None:
    """Raise LicenseError unless the SPDX identifier is on the allow-list."""
    if license not in ALLOWED:
        raise LicenseError(
            f"{source} is under {license or 'no known licence'}, which the corpus does not take. "
            f"Allowed: {', '.join(sorted(ALLOWED))}."
        )


def spdx(text: str) -> str:
    """SPDX identifier of a licence as people write it ("CC BY-SA 3.0", "PD-self"); "" if unknown.

    Only Creative Commons and public-domain statements are known; everything else counts as unknown.
    """
    words = text.strip().upper().replace(" ", "-")
    if re.search(r"PUBLIC-DOMAIN|^PD", words):
        return "LicenseRef-PublicDomain"
    if "CC0" in words:
        return "CC0-1.0"
    match = re.search(r"CC-?BY(-SA)?-?(\d(?:\.\d)?)", words)
    if match is None:
        return ""
    version = match[2] if "." in match[2] else f"{match[2]}.0"
    return f"CC-BY{match[1] or ''}-{version}"


@dataclass(frozen=True)
class Statement:
    """Who made the files that a pattern names, and under which licence."""

    pattern: str
    license: str
    author: str


def read_debian_copyright(text: str) -> list[Statement]:
    """The statements of a Debian copyright file, one per pattern of its `Files:` fields (DEP 5)."""
    statements = []
    for paragraph in text.split("\n\n"):
        fields = re.search(
            r"^Files:(.*?)^Copyright:(.*?)^License:(.*?)$", paragraph, re.DOTALL | re.MULTILINE
        )
        if fields:
            patterns, author, license = (field.strip() for field in fields.groups())
            author = re.sub(r"\s*\n\s*", "; ", author)
            statements += [Statement(p, spdx(license), author) for p in patterns.split()]
    return statements


def find_statement(path: str, statements: Iterable[Statement]) -> Statement | None:
    """The last statement whose pattern matches a path, which is the one that counts (DEP 5)."""
    matches = [s for s in statements if fnmatch.fnmatch(path, s.pattern)]
    return matches[-1] if matches else None
