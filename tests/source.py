"""Loads a module of `exchange.matching` from its source, even where it is compiled.

Compiled classes hide their insides; what a test says about those is about the source.
"""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import exchange.matching

FOLDER = Path(exchange.matching.__file__).parent


def load_source(name: str) -> ModuleType:
    """The module `exchange.matching.NAME`, interpreted."""
    spec = spec_from_file_location(f"exchange.matching.{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
