"""The explicit list of the simulated systems."""

from __future__ import annotations

from .alteryx import Alteryx
from .carto import Carto
from .chorus import Chorus
from .invision import Invision
from .stevesie import Stevesie
from .system import System


def systems() -> list[System]:
    """A fresh object of each system, in the order in which they are shown."""
    return [Carto(), Alteryx(), Stevesie(), Chorus(), Invision()]
