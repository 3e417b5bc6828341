import pytest

from schemas import provenance
from schemas.provenance import source_hash


@pytest.mark.parametrize("name", ["a.py", "a.yaml", "a.sql", "a.html"])
def test_the_hash_tells_changed_sources_apart(name, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    (tmp_path / "qa").mkdir()
    found = set()
    for content in ("SELECT 1", "SELECT 2"):
        (tmp_path / "qa" / name).write_text(content)
        found.add(source_hash.__wrapped__("qa"))  # a process hashes its sources once
    assert len(found) == 2
