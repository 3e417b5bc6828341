import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from accelerate.state import AcceleratorState, PartialState
from safetensors.torch import load_file

from flows.cli import main
from flows.commands import INTERRUPTED
from model import checkpoint
from model.answer import Prompt
from model.checkpoint import load_model
from model.data import Shards
from model.descent import rate
from model.log import Log
from model.metrics.rows import EvaluationSet
from model.order import Order
from model.splits import split, unseen
from model.start import make_model, train
from model.train import Trainer
from schemas.errors import TrainingDiverged, UsageError


def log_of(run, stage="train"):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["stage"] == stage]


def same_weights(one, other):
    first, second = load_file(one / checkpoint.WEIGHTS), load_file(other / checkpoint.WEIGHTS)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_ten_steps_are_five_and_five_more_bit_for_bit(small, folder, tmp_path):
    config = small(train__steps=10, train__save_every=5, train__keep=9, train__batch=2,
                   network__language__lora={"rank": 2, "dropout": 0.3})  # fmt: skip
    train(config, folder, tmp_path / "whole")
    train(config, folder, tmp_path / "parts")
    for name in ("step-00000010",):  # as if the second run had been killed after five steps
        for path in sorted((tmp_path / "parts" / name).rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        (tmp_path / "parts" / name).rmdir()
    outcome = train(config, folder, tmp_path / "parts")
    assert outcome.trained.step == 10
    whole, parts = tmp_path / "whole" / "step-00000010", tmp_path / "parts" / "step-00000010"
    assert same_weights(whole, parts)
    moments = [load_file(each / checkpoint.MOMENTS) for each in (whole, parts)]
    assert moments[0].keys() == moments[1].keys()
    assert all(torch.equal(moments[0][k], moments[1][k]) for k in moments[0])
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "parts")
    losses = [line["loss"] for line in log_of(tmp_path / "whole")]
    assert losses[-1] < losses[0]


def test_pieces_and_whole_batches_train_alike(small, folder, tmp_path):
    for name, micro in (("whole", 4), ("pieces", 1)):
        config = small(train__steps=2, train__batch=4, train__micro_batch=micro)
        train(config, folder, tmp_path / name)
    one, other = log_of(tmp_path / "whole"), log_of(tmp_path / "pieces")
    for left, right in zip(one, other, strict=True):
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-5)
        assert left["gradient"] == pytest.approx(right["gradient"], rel=1e-3)


TELLING = """
import sys
from flows.cli import main
from model import parallel

share = parallel.fully_shard
parallel.fully_shard = lambda module, **more: print("in parts:", type(module).__name__) or share(
    module, **more)
main(sys.argv[1:])
"""
"""The command line; it says which modules FSDP2 takes apart."""
PAPER = {
    "train__precision": "bf16", "train__recompute": True, "network__masks": "sam",
    "network__mask_width": 32, "network__language__lora": {"rank": 2, "dropout": 0.0},
}  # fmt: skip
"""What the preset `paper` sets, as far as it matters to ranks and precision."""


def two_ranks(config, folder, run):
    """Runs the command in two processes, which talk over loopback; gives what they say."""
    path = run.with_suffix(".yaml")
    path.write_text(json.dumps(config.model_dump(mode="json")))  # JSON is YAML
    command = [sys.executable, "-c", TELLING, "train", "--preset", str(path),
               "--data", str(folder), "--out", str(run)]  # fmt: skip
    shared = os.environ | {
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "LOCAL_WORLD_SIZE": "2",
    }  # fmt: skip
    ranks = [
        subprocess.Popen(command, env=shared | {"RANK": str(k), "LOCAL_RANK": str(k)},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for k in range(2)
    ]  # fmt: skip
    said = [rank.communicate(timeout=240)[0].decode() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    return said[0]


@pytest.mark.parametrize(
    ("parallel", "changes", "near"),
    [("ddp", {}, 1e-6), ("fsdp2", {}, 1e-6), ("fsdp2", PAPER, 2e-2)],
    ids=["ddp", "fsdp2", "fsdp2 as paper"],
)
def test_two_ranks_train_as_one(small, folder, tmp_path, parallel, changes, near):
    sizes = {"train__steps": 3, "train__batch": 4, "train__micro_batch": 1, "train__save_every": 2,
             "data__val_share": 0.3, "train__best": "mask_iou"}  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    train(small(**sizes, **changes | {"train__precision": "fp32"}), folder, one)
    config = small(**sizes, **changes, train__parallel=parallel)
    said = two_ranks(config, folder, two)
    parts = {line.split()[-1] for line in said.splitlines() if line.startswith("in parts:")}
    whole = {"FifaNetwork", "LlamaDecoderLayer", "CLIPEncoderLayer"}
    assert (parts >= whole) if parallel == "fsdp2" else not parts
    alike(one, two, near)
    if parallel == "fsdp2" and not changes:
        shutil.rmtree(two / "step-00000003")  # as if the power had gone after two steps
        first = log_of(two)
        two_ranks(config, folder, two)
        assert log_of(two) == first
        names = [set(load_file(each / "step-00000003" / checkpoint.WEIGHTS)) for each in (one, two)]
        assert names[0] == names[1]


def alike(one, two, near):
    for stage in ("train", "validation"):
        for left, right in zip(log_of(one, stage), log_of(two, stage), strict=True):
            assert left["loss"] == pytest.approx(right["loss"], rel=near)
            assert left["mask_iou"] == pytest.approx(right["mask_iou"], abs=near)
            if stage == "train":
                assert left["gradient"] == pytest.approx(right["gradient"], rel=10 * near)


def test_bf16_trains_as_fp32_within_two_percent(small, folder, tmp_path, monkeypatch):
    for precision in ("fp32", "bf16"):
        for state in (AcceleratorState, PartialState):  # one precision a process: begin anew
            monkeypatch.setattr(state, "_shared_state", {})
        train(small(train__steps=3, train__precision=precision), folder, tmp_path / precision)
    one, two = (log_of(tmp_path / each) for each in ("fp32", "bf16"))
    assert [line["loss"] for line in one] != [line["loss"] for line in two]
    alike(tmp_path / "fp32", tmp_path / "bf16", 2e-2)


def _free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    small, folder, tmp_path, monkeypatch
):
    config = small(train__steps=6, train__save_every=2)
    train_step = Trainer._step

    def poisoned(self, pieces, step, asked):
        if step == 3:
            with torch.no_grad():
                next(self.network.parameters()).fill_(float("nan"))
        return train_step(self, pieces, step, asked)

    monkeypatch.setattr(Trainer, "_step", poisoned)
    with pytest.raises(TrainingDiverged, match=r"step 4 is not a number; .*step-00000002"):
        train(config, folder, tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("step-*"))] == ["step-00000002"]
    weights = load_file(tmp_path / "step-00000002" / checkpoint.WEIGHTS)
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())
    assert all(math.isfinite(line["loss"]) for line in log_of(tmp_path))


def test_a_gradient_that_is_no_number_reaches_no_checkpoint(small, folder, tmp_path, monkeypatch):
    config = small(train__steps=6, train__save_every=2)
    train_step = Trainer._step

    def poisoned(self, pieces, step, asked):
        if step == 3:
            weight = next(p for p in self.network.parameters() if p.requires_grad)
            weight.register_hook(lambda gradient: gradient * float("nan"))
        return train_step(self, pieces, step, asked)

    monkeypatch.setattr(Trainer, "_step", poisoned)
    with pytest.raises(TrainingDiverged, match=r"gradient of step 4 is not .*step-00000002"):
        train(config, folder, tmp_path)
    assert checkpoint.latest(tmp_path).name == "step-00000002"
    weights = load_file(tmp_path / "step-00000002" / checkpoint.WEIGHTS)
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())


def test_ctrl_c_in_a_terminal_reaches_workers_and_still_leaves_a_checkpoint(
    small, folder, tmp_path
):
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    pieces = {"train__batch": 16, "train__micro_batch": 1}  # more than a worker reads ahead
    content = small(train__steps=10**7, data__workers=1, **pieces).model_dump(mode="json")
    config.write_text(json.dumps(content))
    command = [sys.executable, "-m", "flows.cli", "train", "--preset", str(config),
               "--data", str(folder), "--out", str(run)]  # fmt: skip
    process = subprocess.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not (run / "log.jsonl").is_file() or not log_of(run):
        assert time.monotonic() < until, "no step was done"
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the loop and to its workers
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == INTERRUPTED, said
    assert checkpoint.latest(run).name == f"step-{log_of(run)[-1]['step']:08d}"


def test_steps_are_planned_as_they_are_done(small, folder, tmp_path, monkeypatch):
    planned = []
    batch = Order.batch
    monkeypatch.setattr(
        Order, "batch", lambda self, step, size: planned.append(step) or batch(self, step, size)
    )
    config = small(train__steps=1000)
    train(config, folder, tmp_path, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    assert len(planned) < 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_the_step_with_a_checkpoint(small, folder, tmp_path, number):
    config = small(train__steps=1000)
    outcome = train(config, folder, tmp_path, lambda *_: os.kill(os.getpid(), number))
    assert outcome.stopped
    assert 1 <= outcome.trained.step <= 3
    assert checkpoint.latest(tmp_path).name == f"step-{outcome.trained.step:08d}"


def test_another_configuration_does_not_go_on(small, folder, tmp_path):
    train(small(train__steps=1), folder, tmp_path)
    with pytest.raises(UsageError, match=r"another configuration \(train\.lr: 0\.002 -> 0\.5\)"):
        train(small(train__steps=1, train__lr=0.5), folder, tmp_path)


def test_a_run_does_not_go_on_with_other_rows(small, tmp_path, rows, write_shard):
    config = small(train__steps=1)
    data = write_shard(tmp_path / "data" / "a.parquet", rows[:4])
    train(config, data, tmp_path / "run")
    train(config, data, tmp_path / "run")
    write_shard(tmp_path / "data" / "a.parquet", [*rows[:3], rows[4]])
    with pytest.raises(UsageError, match="holds a run on other data"):
        train(config, data, tmp_path / "run")


def test_a_line_that_a_power_cut_tore_is_dropped(tmp_path):
    kept = '{"step": 1, "stage": "train"}\n{"step": 2, "stage": "train"}\n'
    for torn in ('{"step": 3, "st', "\0\0\0", "7\n", '{"step": 3}\n{"ste'):
        (tmp_path / "log.jsonl").write_text(kept + torn)
        with Log(tmp_path, 2, writes=True) as log:
            log.write(3, "train", {"loss": 1.0})
        assert [line["step"] for line in log_of(tmp_path)] == [1, 2, 3]


def test_weights_of_another_configuration_are_refused(small, folder, shards, tmp_path):
    train(small(train__steps=1), folder, tmp_path / "run")
    other = make_model(small(network__mask_width=24), shards, tmp_path / "none")
    with pytest.raises(UsageError, match="weights of another configuration"):
        checkpoint.load_weights(other.network, tmp_path / "run" / "step-00000001")
    with pytest.raises(UsageError, match="no checkpoint in"):
        load_model(tmp_path / "nothing")


def test_one_row_is_enough(small, tmp_path, rows, write_shard):
    data = write_shard(tmp_path / "data" / "one.parquet", rows[:1])
    outcome = train(small(train__steps=2), data, tmp_path / "run")
    assert outcome.trained.step == 2
    assert 0 < outcome.waited < 1
    assert load_model(tmp_path / "run").answer(
        torch.zeros(3, 64, 64, dtype=torch.uint8), [Prompt("Real?")]
    )


def test_the_best_checkpoint_is_kept_and_chosen(small, folder, tmp_path):
    config = small(train__steps=6, train__save_every=1, train__validate_every=2, train__keep=1,
                   data__val_share=0.3, train__batch=2, train__lr=0.003)  # fmt: skip
    train(config, folder, tmp_path)
    found = {line["step"]: line["loss"] for line in log_of(tmp_path, "validation")}
    assert sorted(found) == [2, 4, 6]
    best = json.loads((tmp_path / "best.json").read_text())
    assert best["checkpoint"] == f"step-{min(found, key=found.get):08d}"
    assert {path.name for path in tmp_path.glob("step-*")} == {best["checkpoint"], "step-00000006"}


def test_a_pretrained_language_model_is_adapted_and_only_that_is_saved(
    small, folder, shards, tmp_path
):
    whole = make_model(small(), shards, tmp_path / "none")
    whole.network.language.model.save_pretrained(tmp_path / "lm")
    whole.vocabulary.save(tmp_path / "lm")
    config = small(network__language__path=str(tmp_path / "lm"),
                   network__language__lora={"rank": 2, "alpha": 4}, train__steps=1)  # fmt: skip
    train(config, folder, tmp_path / "run")
    saved = load_file(tmp_path / "run" / "step-00000001" / checkpoint.WEIGHTS)
    language = [name for name in saved if name.startswith("language.")]
    assert language
    assert all("lora_" in name or "trainable_tokens" in name for name in language)
    model = load_model(tmp_path / "run")
    images = torch.rand(1, 3, 48, 48)
    assert model.network.look((images * 255).to(torch.uint8)).tokens_FND.shape[0] == 1
    tokens = model.network.language.embed(torch.tensor([[5, 200]]))
    assert tokens.shape == (1, 2, 32)


def test_rows_to_validate_on_are_other_pairs(shards, small):
    learnt, held_out = split(shards, small(data__val_share=0.3))
    facts = shards.facts.to_pylist()
    names = [{(f["dataset"], f["pair"]) for f in map(facts.__getitem__, rows)}
             for rows in (learnt, held_out)]  # fmt: skip
    assert names[0]
    assert names[1]
    assert not names[0] & names[1]
    assert len(learnt) + len(held_out) == len(shards)
    assert len({facts[k]["method"] for k in held_out}) > 1  # the same real frames, all of them out


def test_without_a_split_test_a_model_is_scored_on_what_was_held_out(
    shards, small, tmp_path, rows, write_shard
):
    learnt, held_out = split(shards, small(data__val_share=0.3))
    every = list(range(len(shards)))
    assert unseen(shards, set(learnt)) == (held_out, "held out")
    assert unseen(shards, set(every)) == (every, "all")
    assert unseen(shards, set()) == (every, "all, of pairs that it did not learn from")
    names = ("train", "val", "test", "test")
    named = [row.model_copy(update={"split": name}) for row, name in zip(rows, names, strict=False)]
    four = Shards(write_shard(tmp_path / "a.parquet", named))
    assert split(four, small()) == ([0], [1])
    assert unseen(four, {0}) == ([2, 3], "the split test")


def test_a_model_is_scored_on_what_it_did_not_learn_from_whatever_dataset_it_is(
    small, folder, tmp_path, rows, write_shard
):
    train(small(train__steps=1, data__val_share=0.3), folder, tmp_path / "run")
    model = load_model(tmp_path / "run")

    def evaluated(data, split=""):
        found = EvaluationSet(data, split, learner=model.config, pairs=model.learnt)
        return len(found), found.chosen, found.learnt

    learnt, held_out = split(Shards(folder), model.config)
    assert evaluated(folder) == (len(held_out), "held out", 0)
    assert evaluated(folder, "all") == (len(rows), "all", len(learnt))
    others = [row.model_copy(update={"dataset": "other"}) for row in rows]
    other = write_shard(tmp_path / "other" / "a.parquet", others)
    everything = (len(rows), "all, of pairs that it did not learn from", 0)
    assert evaluated(other) == everything
    assert evaluated(other, "all") == (len(rows), "all", 0)
    renewed = write_shard(tmp_path / "again" / "a.parquet", [*others[:1], *rows[::-1]])
    assert evaluated(renewed) == (len(held_out) + 1, "held out", 0)  # other rows, in other order


def test_words_are_learnt_from_learnt_rows_and_no_picture_is_read(
    small, tmp_path, rows, write_shard, monkeypatch
):
    odd = rows[1].questions[0].model_copy(update={"answer": "xylophone " * 50})
    held_out = rows[1].model_copy(update={"split": "val", "questions": (odd,)})
    many = [rows[0], *[held_out.model_copy(update={"id": f"row {k}"}) for k in range(9)]]
    shards = Shards(write_shard(tmp_path / "a.parquet", many))
    assert [q["answer"] for q in shards.questions([0])] == [q.answer for q in rows[0].questions]
    assert [q["answer"] for q in shards.questions([3])] == [odd.answer]
    monkeypatch.setattr(Shards, "row", None)
    model = make_model(small(), shards, tmp_path / "none")
    assert len(model.vocabulary.encode("", "xylophone", 0).ids) > 4


def test_the_rate_warms_up_and_falls(small):
    config = small(train__steps=100, train__warmup=10).train
    rates = [rate(config, step) for step in range(100)]
    assert rates[9] == rates[10] == max(rates) == config.lr
    assert rates[0] == pytest.approx(config.lr / 10)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.11 * config.lr


def test_the_rate_begins_again_with_the_first_questions(small):
    config = small(train__steps=100, train__look=40, train__warmup=10).train
    rates = [rate(config, step) for step in range(100)]
    assert rates[39] < 0.11 * config.lr
    assert rates[40] == pytest.approx(config.lr / 10)
    assert rates[9] == rates[49] == max(rates) == config.lr
    assert rates[-1] < 0.11 * config.lr


def test_the_first_steps_ask_nothing(small, folder, tmp_path):
    config = small(
        train__steps=4, train__look=2, train__batch=2, train__save_every=1, train__keep=9
    )
    train(config, folder, tmp_path)
    lines = log_of(tmp_path)
    assert [line["text"] > 0 for line in lines] == [False, False, True, True]
    assert all(line["artifact"] > 0 and line["det"] > 0 for line in lines)
    weights = [load_file(tmp_path / f"step-{n:08}" / checkpoint.WEIGHTS) for n in (1, 2, 3)]
    name = next(each for each in weights[0] if each.endswith("q_proj.weight") and "lang" in each)
    assert torch.allclose(weights[0][name], weights[1][name], atol=1e-4)
    assert not torch.allclose(weights[1][name], weights[2][name], atol=1e-4)


def test_questions_that_are_left_out_are_counted_over_the_whole_run(small, folder, tmp_path):
    config = small(train__steps=4, train__save_every=2, data__max_tokens=60)
    outcome = train(config, folder, tmp_path)
    shutil.rmtree(tmp_path / "step-00000004")  # as if the power had gone after two steps
    first = log_of(tmp_path)
    assert train(config, folder, tmp_path).trained == outcome.trained
    assert log_of(tmp_path) == first
    counts = [line["dropped"] for line in first]
    assert 0 < counts[0] <= counts[1] < counts[-1] == outcome.trained.dropped["too_long"]


def test_a_run_that_could_not_ask_a_question_does_not_begin(small, folder, tmp_path):
    config = small(data__max_tokens=16)
    with pytest.raises(UsageError, match=r"data\.max_tokens 16 has no room .* 5 of them"):
        train(config, folder, tmp_path)
    clips = small(data__frames=8, data__max_tokens=45)
    with pytest.raises(UsageError, match=r"40 of them the image's \(8 x 5\)"):
        train(clips, folder, tmp_path)
    silent = small(data__max_tokens=16, train__steps=1, train__look=1)
    assert train(silent, folder, tmp_path).trained.step == 1  # nothing is asked


def test_the_command_trains_and_goes_on(small, folder, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    short = small(data__max_tokens=60, data__val_share=0)
    config.write_text(json.dumps(short.model_dump(mode="json")))
    command = ["train", "--preset", str(config), "--data", str(folder), "--out",
               str(tmp_path / "run"), "--set", "train.steps=2"]  # fmt: skip
    for _ in range(2):
        with pytest.raises(SystemExit) as end:
            main(command)
        assert end.value.code == 0
    said = capsys.readouterr().out
    assert "step 2 of 2" in said
    assert "nothing was held out" in said
    assert len(log_of(tmp_path / "run")) == 2
    for change, message in {
        "train.stepz=3": "--set train.stepz: Extra inputs are not permitted (did you mean 'train.",
        "network.language.prompt={question}<image>": "network.language.prompt: {question}",
        "network.language.architecture={}": "network.language: set path to a model's folder, or",
        "network.language.architecture={model_type: lama}": "network.language.architecture: ",
        "network.encoder.architecture={}": "network.encoder: set path to a model, or architecture",
    }.items():
        with pytest.raises(SystemExit) as end:
            main([*command[:5], "--out", str(tmp_path / "other"), "--set", change])
        assert end.value.code == 2
        assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
