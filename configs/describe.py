"""The attribute docs of the settings classes, read from their source: the help texts."""

import ast
import inspect
from functools import cache
from pathlib import Path

from . import settings


@cache
def field_docs(section: str) -> dict[str, str]:
    """Return each field's doc as one line of text; `section` is "base", "train" or "mosaic"."""
    source = Path(settings.__file__).read_text(encoding="utf-8")
    wanted = f"{section.capitalize()}Settings"
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == wanted:
            return _attribute_docs(node)
    raise KeyError(section)


def _attribute_docs(node: ast.ClassDef) -> dict[str, str]:
    """An attribute's doc is the string that stands right below its annotated assignment."""
    docs = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(ast.Constant(str(text))):
                    docs[field.target.id] = " ".join(inspect.cleandoc(text).split())
    return docs
