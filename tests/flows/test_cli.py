import importlib.util
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import click
import pytest

from flows import cli, doctor
from flows.commands import DONE, DONE_WITH_REJECTS, FAILED, INTERRUPTED
from flows.runners import RUNNERS
from schemas.errors import OutputError


def facext(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, "COLUMNS": "120", **(env or {})},
        timeout=300, check=False,
    )  # fmt: skip


def test_every_command_explains_itself():
    listed = facext("--help").stdout
    for name, command in cli.facext.commands.items():
        assert f"  {name} " in listed
        told = facext(name, "--help")
        assert told.returncode == 0
        assert len(command.help) > 40
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.name}"
            else:
                assert parameter.name.upper() in command.help


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from flows import cli\n"
        "try: cli.main(['annotate', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'cv2', 'prefect', 'torch', 'pandas', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_annotate_prints_its_summary_and_says_that_there_are_rejects(tmp_path, write_manifest):
    path = write_manifest(tmp_path)
    few = facext("annotate", "toy", "--manifest", path, "--limit", 1)
    assert few.returncode == DONE
    assert "from 1 pair; 2 units of work done now" in few.stdout
    assert "11 pairs of the dataset not annotated yet" in few.stdout
    ran = facext("annotate", "toy", "--manifest", path, "--workers", 2)
    assert ran.returncode == DONE_WITH_REJECTS, ran.stderr
    assert "LipRecolour" in ran.stdout
    assert "rejected: no_artifact" in ran.stdout
    assert (tmp_path / "out/toy/qa/index.html").is_file()
    assert "XNNPACK" not in ran.stderr
    again = facext("annotate", "toy", "--manifest", path)
    assert "0 units of work done now" in again.stdout
    assert facext("qa", "toy", "--manifest", path).stdout.strip().endswith("qa/index.html")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["annotate", "tyo"], 2, "no dataset 'tyo' in the manifest (did you mean 'toy'?)"),
        (["annotate", "ff++"], 1, "needs the environment variable FFPP_ROOT"),
        (["annotate", "toy", "--explainer", "x"], 2, "no explainer 'x'"),
        (["annotate"], 2, "Missing argument 'DATASET'"),
        (["annotat", "toy"], 2, "No such command 'annotat'"),
        (["annotate", "toy", "--manifest", "nowhere.yaml"], 2, "cannot read the manifest"),
        (["forge", "--method", "Nose"], 2, "Nose"),
    ],
)
def test_wrong_use_gets_one_clear_message(arguments, code, message):
    env = {key: value for key, value in os.environ.items() if key != "FFPP_ROOT"}
    ran = subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        capture_output=True, text=True, env=env, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == code
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("foreground", [True, False])
def test_ctrl_c_and_the_end_of_a_background_job_say_how_to_go_on(
    foreground, tmp_path, write_manifest
):
    """A shell script starts background jobs with Ctrl-C ignored; they are ended by SIGTERM."""
    handler = signal.SIG_DFL if foreground else signal.SIG_IGN
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "annotate", "toy", "--manifest",
         str(write_manifest(tmp_path)), "--workers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
    )  # fmt: skip
    units = tmp_path / "out/toy/units/measure"
    deadline = time.monotonic() + 120
    while not list(units.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    if foreground:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    else:
        process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors
    assert facext("annotate", "toy", "--manifest", tmp_path / "manifest.yaml").returncode == 3


def test_a_failed_run_has_exit_code_1(capsys, monkeypatch):
    def fail(**arguments):
        raise OutputError("cannot write x: No space left on device")

    monkeypatch.setattr(cli.facext.commands["annotate"], "callback", fail)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["annotate", "toy"])
    assert stopped.value.code == FAILED
    assert capsys.readouterr().err == "error: cannot write x: No space left on device\n"


def test_tree_prints_all_concepts():
    told = facext("tree", "--definitions").stdout
    assert "112 atomic concepts" in told
    assert "left eyebrow tail" in told


def test_doctor_calls_every_backend():
    ran = facext("doctor")
    assert ran.returncode == 0
    assert "1 face found" in ran.stdout
    assert "fails" not in ran.stdout


def test_doctor_tells_what_optional_backends_lack_and_does_not_fail_for_it(tmp_path):
    (tmp_path / "parsing_parsenet.pth").write_bytes(b"damaged")
    ran = facext("doctor", env={"FACEXT_WEIGHTS": str(tmp_path), "COLUMNS": "400"})
    assert ran.returncode == 0
    lines = {line.split("│")[1].strip(): line for line in ran.stdout.splitlines() if "│" in line}
    assert "available" in lines["weights"]
    assert "not here" in lines["parser: bisenet"]
    assert "v0.2.0/parsing_bisenet.pth" in lines["parser: bisenet"]
    assert "cannot be read as a weight file" in lines["parser: parsenet"]
    assert "works" in lines["parser: mesh"]
    assert facext("doctor", env={"FACEXT_WEIGHTS": "/nowhere"}).returncode == 0


def test_doctor_fails_where_an_embedded_backend_does(monkeypatch):
    def broken() -> str:
        raise OSError("no model")

    monkeypatch.setattr(doctor, "BACKENDS", {"landmarks: mesh": broken})
    assert not doctor.examine()


def test_doctor_lists_each_runner_and_how_to_get_it(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "prefect_ray" else find(name)
    )
    monkeypatch.setattr(doctor, "BACKENDS", {})
    monkeypatch.setenv("COLUMNS", "400")
    assert doctor.examine(), "a runner that nobody chose may be absent"
    lines = capsys.readouterr().out.splitlines()
    told = {line.split("│")[1].strip(): line for line in lines if "│" in line}
    assert {f"runner: {name}" for name in RUNNERS} <= told.keys()
    for name in ("processes", "threads"):
        assert "available" in told[f"runner: {name}"]
    assert f"prefect-dask {version('prefect-dask')}" in told["runner: dask"]
    assert "not here" in told["runner: ray"]
    assert "-e '.[ray]'" in told["runner: ray"]


def test_a_call_from_python_leaves_the_signals_alone():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
