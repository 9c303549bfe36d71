"""Packages that only some uses need: the extras of ``setup.py``."""

from importlib import import_module
from typing import Any

from speechxfer.errors import InputError


def import_extra(module: str, extra: str, user: str) -> Any:
    """A module of an extra; InputError says that `user` needs it and how to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(
            f"{user} needs the package {package}; install it with: pip install 'speechxfer[{extra}]'"
        ) from error
