from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ManifestError, SourceMissing, UsageError
from schemas.manifest import DiffSettings, Manifest, Measure, load_manifest

PROJECT = Path("data_manifest.yaml")


def altered(tmp_path: Path, change) -> Path:
    content = yaml.safe_load(PROJECT.read_text())
    change(content)
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_projects_manifest_is_valid():
    manifest = load_manifest(PROJECT)
    assert next(iter(manifest.datasets)) == "toy"
    assert manifest.measure.crop_size == 512


def test_round_trip():
    manifest = load_manifest(PROJECT)
    assert Manifest.model_validate(manifest.model_dump(mode="json")) == manifest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(mesure={}), r"unknown key 'mesure' \(did you mean 'measure'\?\)"),
        (
            lambda c: c["measure"]["diff"].update(polcy="otsu"),
            r"unknown key 'measure\.diff\.polcy' \(did you mean 'policy'\?\)",
        ),
        (
            lambda c: c["datasets"]["toy"]["licence"].update(nme="x"),
            r"'datasets\.toy\.licence\.nme' \(did you mean 'name'\?\)",
        ),
        (lambda c: c["measure"].update(frames=0), r"'measure\.frames'.*found 0"),
        (lambda c: c["datasets"]["ff++"].pop("real"), r"key 'datasets\.ff\+\+\.real' is missing"),
        (lambda c: c["measure"]["diff"].update(policy="best"), r"'calibrated'.*found 'best'"),
        (lambda c: c["datasets"]["toy"].update(fake="a/{target}.mp4"), r"needs the key \{method\}"),
        (lambda c: c["datasets"]["toy"].update(real="/abs/{target}.mp4"), "path below root"),
        (lambda c: c["datasets"]["toy"].update(real="a/{target/x"), "belongs to no {key}"),
        (lambda c: c["datasets"]["toy"].update(compressions=[]), "compressions"),
        (lambda c: c["mllms"]["local"].update(base_url="${HOST}/v1"), "must start with http"),
        (lambda c: c.update(datasets={}), r"'datasets'"),
    ],
)
def test_wrong_keys_and_values_are_named(tmp_path, change, message):
    with pytest.raises(ManifestError, match=message):
        load_manifest(altered(tmp_path, change))


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"cannot read the manifest .*nowhere\.yaml"):
        load_manifest(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ManifestError, match="not valid YAML"):
        load_manifest(tmp_path / "bad.yaml")


@pytest.mark.parametrize("content", [b"", b"- a", b"7", b"\xff\xfe\x00bad"])
def test_a_file_that_is_no_mapping_is_named(tmp_path, content):
    (tmp_path / "m.yaml").write_bytes(content)
    with pytest.raises(ManifestError, match=r"m\.yaml (must hold keys|is not valid YAML)"):
        load_manifest(tmp_path / "m.yaml")


def test_one_method_needs_no_key(tmp_path):
    def flat(content):
        toy = content["datasets"]["toy"]
        toy.update(
            fake="fake/{name}.mp4", real="real/{name}.mp4", methods={"Mine": "identity swap"}
        )

    assert "Mine" in load_manifest(altered(tmp_path, flat)).dataset("toy").methods


def test_an_unknown_dataset_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"no dataset 'ff\+'.*did you mean 'ff\+\+'.*toy, ff\+\+"):
        load_manifest(PROJECT).dataset("ff+")


def test_an_unset_root_names_the_variable_and_the_layout(monkeypatch, tmp_path):
    monkeypatch.delenv("FFPP_ROOT", raising=False)
    dataset = load_manifest(PROJECT).dataset("ff++")
    with pytest.raises(SourceMissing, match=r"FFPP_ROOT(.|\n)*manipulated_sequences"):
        dataset.folder("ff++")
    monkeypatch.setenv("FFPP_ROOT", str(tmp_path))
    with pytest.raises(SourceMissing, match=r"is empty(.|\n)*original_sequences"):
        dataset.folder("ff++")
    monkeypatch.setenv("FFPP_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(SourceMissing, match="does not exist"):
        dataset.folder("ff++")
    (tmp_path / "x").touch()
    monkeypatch.setenv("FFPP_ROOT", str(tmp_path))
    assert dataset.folder("ff++") == tmp_path


@given(st.floats(0.1, 50), st.floats(0.1, 50))
def test_settings_have_one_hash_for_one_value(one, two):
    first, second = (Measure(diff=DiffSettings(level=level)) for level in (one, two))
    assert (first.digest() == second.digest()) == (one == two)
