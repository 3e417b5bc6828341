"""Forges pairs whose truth is known: real faces, public-domain pictures, seven kinds of edit."""

from sources.forge.make import ForgeSummary, forge
from sources.forge.methods import METHODS
from sources.forge.truth import Truth, read_truth

__all__ = ["METHODS", "ForgeSummary", "Truth", "forge", "read_truth"]
