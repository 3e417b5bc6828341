"""What a run left behind, read back by tests."""

from schemas.records import AnnotatedFrame, Reject
from schemas.shards import read_records


def shards_of(run):
    return sorted(run.shards.glob("*.parquet"))


def rows_of(run):
    return read_records(shards_of(run), AnnotatedFrame)


def rejects_of(run):
    return read_records(run.rejects_path, Reject)


def all_bytes(run):
    return {path.name: path.read_bytes() for path in [*shards_of(run), run.rejects_path]}
