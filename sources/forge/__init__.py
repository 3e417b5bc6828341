"""Forges pairs whose truth is known: real faces, public-domain pictures, many kinds of edit."""

from sources.forge.cases import Case, CaseFiles, Film, encode_case, film_case, make_case
from sources.forge.design import sample_cases
from sources.forge.make import ForgeSummary, forge
from sources.forge.methods import METHODS
from sources.forge.operations import OPERATIONS
from sources.forge.truth import FrameTruth, Truth, read_truth

__all__ = [
    "METHODS",
    "OPERATIONS",
    "Case",
    "CaseFiles",
    "Film",
    "ForgeSummary",
    "FrameTruth",
    "Truth",
    "encode_case",
    "film_case",
    "forge",
    "make_case",
    "read_truth",
    "sample_cases",
]
