"""Docs that cannot lie: pages made from data are up to date, what the README names exists."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import facext
from schemas.handbook import PAGE, page
from schemas.manifest import load_manifest

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text()
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").glob("*.md")]


def test_the_format_page_is_made_from_the_records():
    assert PAGE.read_text() == page(), "run: python -m schemas.handbook"


def test_the_code_on_the_format_page_runs(annotated):
    run, _ = annotated
    code = re.search(r"(?:^    import json.*$)(?:\n^    .*$)+", page(), re.M)[0]
    shard = next(run.shards.glob("*.parquet"))
    code = re.sub(r"^    ", "", code, flags=re.M).replace(
        "out/toy/annotations/toy-00000.parquet", str(shard)
    )
    code += "\nprint(changed.shape, len([c for c in fict if c['atomic']]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["(512,", "512)", "112"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_the_readme_names_every_command_and_no_other():
    told = set(re.findall(r"^\| `facext (\w+)", README, re.M))
    assert told == set(facext.commands)


def test_commands_of_the_readme_exist():
    manifest = load_manifest(PROJECT / "data_manifest.yaml")
    makefile = (PROJECT / "Makefile").read_text()
    lines = re.findall(r"^    ((?:make|export|\S*=|\.venv).*)$", README, re.M)
    assert len(lines) >= 5
    for line in lines:
        words = [w for w in shlex.split(line, comments=True) if "=" not in w]
        if words and words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.M), line
        if words and words[0] == ".venv/bin/facext":
            facext.commands[words[1]].make_context("facext", words[2:])
            assert words[2] in manifest.datasets
        if words and words[0] == ".venv/bin/prefect":
            flow, _, dataset = words[3].partition("/")
            assert flow == "annotate"
            assert dataset in manifest.datasets


def test_the_tree_of_folders_is_the_tree_of_folders():
    told = set(re.findall(r"^    (\w+)/ ", README, re.M)) - {"docs", "tests"}
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")}
    assert told == packages


def test_the_manifest_says_what_the_schema_knows():
    text = (PROJECT / "data_manifest.yaml").read_text()
    assert text.index("  toy:") < text.index("  ff++:")
    assert "api_key:" not in text
