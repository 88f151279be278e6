"""Series and pairs: who is who, how it moved, registered stacks."""

from .match import match_particles
from .volumes import Transform, register_volumes

__all__ = ["Transform", "match_particles", "register_volumes"]
