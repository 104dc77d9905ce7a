"""The attribute docs of the settings classes, read from their source: the help texts."""

import ast
import inspect
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

from .base import BaseSettings
from .mosaic import group_classes, group_names
from .train import TrainSettings

_NAMES = {
    "guide": 'How: "projection" (closed form), "filtered-difference", "x0-gradient", "exact" (the '
    'paper\'s Eq. 6-8), or what the paper rejects: "ycbcr", "lpips".',
    "method": '"smalti", or a method that it is compared with: "match", "tone", "histogram", '
    '"color-adapter", "adain", "noise-blend", "img2img", "quilt", "factorized".',
}


@cache
def field_docs(section: str) -> dict[str, str]:
    """Return each setting's doc as one line of text; `section` is "base", "train" or "mosaic"."""
    if section == "mosaic":
        classes = [cls for group in group_names() for cls in group_classes(group)]
    else:
        classes = [{"base": BaseSettings, "train": TrainSettings}[section]]
    docs = dict(_NAMES) if section == "mosaic" else {}
    for cls in classes:
        settings = {entry.name for entry in fields(cls)}
        for parent in reversed(cls.__mro__):
            docs |= {name: doc for name, doc in _class_docs(parent).items() if name in settings}
    return docs


def _class_docs(cls: type) -> dict[str, str]:
    if not is_dataclass(cls):
        return {}
    tree = ast.parse(Path(inspect.getfile(cls)).read_text(encoding="utf-8"))
    nodes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return _attribute_docs(next(node for node in nodes if node.name == cls.__name__))


def _attribute_docs(node: ast.ClassDef) -> dict[str, str]:
    """An attribute's doc is the string that stands right below its annotated assignment."""
    docs = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(ast.Constant(str(text))):
                    docs[field.target.id] = " ".join(inspect.cleandoc(text).split())
    return docs
