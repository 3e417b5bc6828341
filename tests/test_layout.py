"""What holds for the whole project."""

import importlib
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "schemas",
    "fict",
    "sources",
    "annotators",
    "release",
    "qa",
    "flows",
    "model",
    "benchmarks",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_ours(package):
    """The names are generic: nothing installed may stand in front of them."""
    module = importlib.import_module(package)
    assert Path(module.__file__).parent == PROJECT / package
    assert module.__doc__


def test_the_editable_install_works_from_another_folder(tmp_path):
    code = "import schemas, flows.cli, fict.tree; print(len(fict.tree.load_tree().atomic))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "112"


def test_prefect_appears_in_flows_only():
    for package in set(PACKAGES) - {"flows"}:
        for path in (PROJECT / package).rglob("*.py"):
            assert not re.search(r"^\s*(import|from) prefect", path.read_text(), re.M), path


def test_weights_and_answers_are_never_executed():
    for package in PACKAGES:
        for path in (PROJECT / package).rglob("*.py"):
            text = path.read_text()
            assert not re.search(r"(?<![\w.])(eval|exec)\(", text), path
            assert "pickle" not in text, path
            for call in re.findall(r"torch\.load\([^)]*\)", text):
                assert "weights_only=True" in call, path


def test_tests_mirror_the_packages():
    for path in (PROJECT / "tests").rglob("test_*.py"):
        folder = path.relative_to(PROJECT / "tests").parts[0]
        assert folder in PACKAGES or path.parent == PROJECT / "tests"
    assert not list((PROJECT / "tests").rglob("__init__.py"))


def test_the_network_is_blocked_but_for_loopback():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        socket.create_connection(server.getsockname()).close()
    blocked = pytest.raises(SocketConnectBlockedError)
    with pytest.warns(UserWarning, match="tried to use socket"), blocked:
        socket.create_connection(("192.0.2.1", 80), timeout=1)
