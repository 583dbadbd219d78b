"""Data: from the `data` section of a spec and the files it names to arrays, parts and sizes."""

from archspec.data.bind import bind
from archspec.data.dataset import Dataset, Field
from archspec.data.ragged import Ragged
from archspec.data.random import permutation

__all__ = ["Dataset", "Field", "Ragged", "bind", "permutation"]
