"""Writes ATTRIBUTION.md: every source of a corpus with licence and author, and the notices.

`python -m smalti.starter.sources.attribution CORPUS.parquet ATTRIBUTION.md`
"""

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .facts import read_facts
from .licenses import ALLOWED, check_license

HEADER = """# Pictures that the starter model was trained on

The starter's weights were trained on {count:,} openly licensed pictures, drawn or scaled by us to
128 x 128 pixels and put on other backgrounds, cropped, shifted and mirrored during training. None
is share-alike, copyleft or non-commercial. The pictures themselves are not in this package. The
authors named here do not endorse smalti or what it draws.

Of Ren'Py's demo games (MIT licence) only background pictures were used. Their characters are the
sample concepts and were left out on purpose, so that the model has never seen them.

This file is written by `python -m smalti.starter.sources.attribution`.
"""

MIT_TERMS = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""

UNCREDITED = ("CC0-1.0", "LicenseRef-PublicDomain")
"""Licences that do not ask for the author's name."""

Key = tuple[str, str, str]
"""(source, licence, author)."""


def write_attribution(corpus: Path, out: Path) -> None:
    """Write the attribution of a corpus (parquet) as Markdown.

    Raises:
        LicenseError: the corpus holds a picture whose licence is not allowed.
    """
    import pyarrow.parquet as pq

    rows = pq.read_table(corpus, columns=["source", "license", "author", "caption"]).to_pylist()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(out.name + ".part")
    temporary.write_text(format_attribution(rows), encoding="utf-8")
    os.replace(temporary, out)


def format_attribution(rows: Iterable[dict[str, str]]) -> str:
    """ATTRIBUTION.md of the rows of a corpus, which have source, license, author and caption."""
    counts: Counter[Key] = Counter()
    captions: dict[Key, dict[str, None]] = defaultdict(dict)
    for row in rows:
        check_license(row["license"], row["source"])
        key = (row["source"], row["license"], row["author"])
        counts[key] += 1
        captions[key][row["caption"]] = None
    parts = [HEADER.format(count=counts.total()), *_table(counts)]
    for license in sorted({license for _, license, _ in counts}):
        keys = sorted(key for key in counts if key[1] == license)
        parts += _license_section(license, keys, captions)
    return "\n".join(parts) + "\n"


def _table(counts: Counter[Key]) -> list[str]:
    lines = ["## All sources", "", "| pictures | source | licence | author |", "|---|---|---|---|"]
    for (source, license, author), count in sorted(counts.items(), key=lambda i: (-i[1], i[0])):
        lines.append(f"| {count} | {source} | {license} | {_cell(author)} |")
    return [*lines, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _license_section(
    license: str, keys: Sequence[Key], captions: dict[Key, dict[str, None]]
) -> list[str]:
    """What one licence asks for: works, authors and addresses, copyright notices, terms."""
    name, url = ALLOWED[license]
    lines = [f"## {name}", ""]
    if url:
        lines += [f"{license}, {url}", ""]
    if license.startswith("CC-BY"):
        lines += ["The works were changed: rendered, cropped and scaled as described above.", ""]
    works = (_work(key, captions[key]) for key in keys)
    return [*lines, *dict.fromkeys(works), "", *_terms(license, keys)]


def _work(key: Key, captions: Iterable[str]) -> str:
    """One line for the works of one author: title, address, author.

    Where authorship need not be told (CC0, public domain), one line for a whole collection; its
    authors are in the table. In a collection of many authors the line says what the pictures show.
    """
    source, license, author = key
    credit = _credit(source)
    line = f"- {credit.get('title', source)}"
    if license.startswith("CC-BY") and credit.get("many_authors"):
        line += f": {', '.join(sorted(captions))}"
    address = credit.get("works", {}).get(author) or credit.get("url")
    if address:
        line += f", {address}"
    return line if license in UNCREDITED else f"{line}, by {_cell(author)}"


def _credit(source: str) -> dict[str, Any]:
    """The credit whose key is the longest beginning of a source."""
    credits = read_facts("credits")
    keys = [key for key in credits if source.startswith(key)]
    return credits[max(keys, key=len)] if keys else {}


def _terms(license: str, keys: Sequence[Key]) -> list[str]:
    """Copyright notices, and the terms that must go with them."""
    notices = dict.fromkeys(_credit(source).get("copyright", "") for source, _, _ in keys)
    lines = [f"{notice}  " for notice in notices if notice]
    if license == "MIT":
        lines += ["", MIT_TERMS]
    if license == "Apache-2.0":
        lines += ["", "The text of this licence is smalti's own, in the file LICENSE."]
    return [*lines, ""] if lines else []


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m smalti.starter.sources.attribution CORPUS.parquet OUT.md")
    write_attribution(Path(sys.argv[1]), Path(sys.argv[2]))
