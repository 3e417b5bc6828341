"""Datasets on disk: videos, real/fake pairs, crops, and pairs forged with known truth."""
