import os
from pathlib import Path

import pytest

from dataset_tools.errors import EXIT_USAGE, UserError
from polymask.config.load import MAX_BYTES, load_config, move_dataset
from tests.polymask.config.configs import BASE, resolved


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SOLVER.EPOCHS", "SOLVER.MAX_ITER"),
        ("SOLVER.EPOCHS", "SOLVER.MAX_MINUTES"),
        ("SOLVER.MAX_MINUTES", "SOLVER.MAX_ITER"),
        ("TEST.EVAL_EPOCHS", "TEST.EVAL_PERIOD"),
    ],
)
def test_the_same_thing_said_twice_is_an_error(one, other):
    with pytest.raises(UserError, match=f"{one} and {other}"):
        load_config(BASE, [one, "3", other, "7"])


def test_minutes_epochs_and_iterations_take_each_other_s_place(tmp_path):
    """In whatever order files and the command line say them."""
    of_a_run = tmp_path / "config.yaml"
    of_a_run.write_text("SOLVER: {MAX_ITER: 700, EPOCHS: 50.0, MAX_MINUTES: 10.0}")
    for given, expected in (
        ([], (700, 10)),
        (["SOLVER.MAX_MINUTES", "3"], (0, 3)),
        (["SOLVER.EPOCHS", "3"], (0, 0)),
        (["SOLVER.MAX_ITER", "3"], (3, 10)),
    ):
        solver = load_config(of_a_run, given).SOLVER
        assert (solver.MAX_ITER, solver.MAX_MINUTES) == expected
    assert load_config("configs/mini_scratch.yaml", ["SOLVER.MAX_MINUTES", "3"]).SOLVER.MAX_ITER == 0


@pytest.mark.parametrize(
    ("dataset", "overrides", "expected"),
    [
        ("/old/out/datasets/pooled", [], "new/datasets/pooled"),
        ("/old/data", [], "/old/data"),
        ("/old/outside", [], "/old/outside"),
        ("/old/out/datasets/pooled", ["DATASETS.ROOT", "/old/out/datasets/pooled"], "/old/out/datasets/pooled"),
        ("", [], ""),
    ],
)
def test_a_dataset_folder_in_a_run_moves_with_it(dataset, overrides, expected):
    cfg = load_config(BASE, ["OUTPUT_DIR", "/old/out", "DATASETS.ROOT", dataset])
    move_dataset(cfg, Path("new"), overrides)
    assert expected == cfg.DATASETS.ROOT


def test_an_unknown_key_names_the_nearest_known_one():
    for unknown in ("SOLVER.BASE_LRR", "SOLVER.BASE_RL"):
        with pytest.raises(UserError, match=f"there is no key {unknown}. The nearest known one is SOLVER.BASE_LR"):
            load_config(BASE, [unknown, "0.1"])


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("solver.base_lr", "SOLVER.BASE_LR"),
        ("lr", "SOLVER.BASE_LR"),
        ("epochs", "SOLVER.EPOCHS"),
        ("input.min_size_train", "INPUT.MIN_SIZE_TRAIN"),
        ("MAXITER", "SOLVER.MAX_ITER"),
    ],
)
def test_the_nearest_key_to_one_in_lower_case_or_without_its_section(unknown, nearest):
    with pytest.raises(UserError, match=f"there is no key {unknown}. The nearest known one is {nearest}[.]"):
        load_config(BASE, [unknown, "0.1"])


def test_whole_numbers_below_zero_are_numbers_too():
    assert load_config(BASE, ["SOLVER.WEIGHT_DECAY", "-1"]).SOLVER.WEIGHT_DECAY == -1.0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no keys with values"),
        ("- SOLVER", "holds no keys with values"),
        ("_BASE_: own.yaml", "its _BASE_ leads back to it"),
        ("SOLVER: 3", "SOLVER is a section of keys"),
        ("_BASE_: gone.yaml", "gone.yaml cannot be read: No such file"),
        ("_BASE_: [[]]", "its _BASE_ is "),
        ("_BASE_: " + str([f"other{n}.yaml" for n in range(20)]), "other19.yaml cannot be read"),
        ("_BASE_: .", "cannot be read"),
        ("SOLVER: {BASE_LR: {X: 1}}", "there is no key SOLVER.BASE_LR.X. The nearest known one is SOLVER.BASE_LR"),
        ("SOLVER: {BASE_LR: fast}", "SOLVER.BASE_LR takes a value of the type float, and this is one of the type str"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path, content, words):
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=words):
        load_config(path, [])


@pytest.mark.parametrize("overrides", [["SOLVER.MAX_ITER", "many"], ["SOLVER.MAX_ITER"], ["SOLVER", "3"]])
def test_a_bad_value_on_the_command_line_is_an_error(overrides):
    with pytest.raises(UserError, match="command line"):
        load_config(BASE, overrides)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["SOLVER.MAX_ITER", "3", "--num-gpus", "2"], "--num-gpus stands behind"),
        (["SOLVER.MAX_ITER", "3", "--resume"], "--resume stands behind"),
        (["SOLVER.MAX_ITER", "3", "SEED"], "SEED has no value"),
    ],
)
def test_words_that_are_no_pairs(overrides, words):
    with pytest.raises(UserError, match=words):
        load_config(BASE, overrides)


def test_yaml_cannot_run_code(tmp_path):
    victim = tmp_path / "victim"
    config = tmp_path / "evil.yaml"
    config.write_text(f"OUTPUT_DIR: !!python/object/apply:os.mkdir ['{victim}']\n")
    with pytest.raises(UserError):
        load_config(config, [])
    assert not victim.exists()


def test_no_config_file_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_config(tmp_path / "none.yaml", [])


def test_whole_numbers_are_fine_where_a_float_is_meant(tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("SOLVER:\n  EPOCHS: 50\n")
    assert load_config(config, []).SOLVER.EPOCHS == 50
    assert load_config(BASE, ["SOLVER.EPOCHS", "7"]).SOLVER.EPOCHS == 7


def test_a_file_may_write_keys_as_the_command_line_does(tmp_path):
    (tmp_path / "own.yaml").write_text("SOLVER.EPOCHS: 7\nSOLVER: {GAMMA: 0.2}\n")
    cfg = load_config(tmp_path / "own.yaml", [])
    assert (cfg.SOLVER.EPOCHS, cfg.SOLVER.GAMMA) == (7, 0.2)


@pytest.mark.parametrize(
    ("overrides", "iterations"),
    [
        (["SOLVER.EPOCHS", "2"], 164),
        (["SOLVER.EPOCHS", "2", "SOLVER.MAX_ITER", "0"], 164),  # 0 is the word for "follow the epochs"
        ([], 1600),
    ],
)
def test_epochs_on_the_command_line_count_also_where_the_file_has_iterations(overrides, iterations):
    """mini_scratch.yaml sets MAX_ITER; two epochs of 82 photos, one a batch, are 164 iterations."""
    assert resolved("configs/mini_scratch.yaml", *overrides).SOLVER.MAX_ITER == iterations


@pytest.mark.parametrize(
    ("content", "iterations"),
    [
        ("SOLVER: {EPOCHS: 2}", 164),
        ("SOLVER: {EPOCHS: 2, MAX_ITER: 7}", 7),
        ("SOLVER: {IMS_PER_BATCH: 1}", 1600),
    ],
)
def test_epochs_of_a_file_count_before_the_iterations_of_its_base(tmp_path, content, iterations):
    """Also those of a file between the two."""
    base = Path("configs/mini_scratch.yaml").resolve()
    (tmp_path / "middle.yaml").write_text(f"_BASE_: {base}\n{content}\n")
    (tmp_path / "mine.yaml").write_text("_BASE_: middle.yaml\nSEED: 3\n")
    for name in ("middle.yaml", "mine.yaml"):
        assert resolved(tmp_path / name).SOLVER.MAX_ITER == iterations


@pytest.mark.parametrize("content", ["", "# nothing", "- a\n- b\n", "_BASE_: nowhere.yaml\n", "a: [1\n"])
def test_a_file_that_is_no_configuration_is_an_error(tmp_path, content):
    (tmp_path / "odd.yaml").write_text(content)
    with pytest.raises(UserError, match="odd.yaml"):
        load_config(tmp_path / "odd.yaml", [])


@pytest.mark.parametrize("several", [False, True])
def test_nothing_is_fetched_from_the_web(tmp_path, stranger, several):
    """Such an address can even name the place of the download: ".." leads out of the cache."""
    address, asked = stranger
    base = f"{address}{'/..' * 20}{tmp_path}/planted.pth"
    (tmp_path / "own.yaml").write_text(f"_BASE_: {[base] if several else base}\n")
    with pytest.raises(UserError, match="own.yaml.*_BASE_") as caught:
        load_config(tmp_path / "own.yaml", [])
    assert caught.value.exit_code == EXIT_USAGE and asked == []
    assert [path.name for path in tmp_path.iterdir()] == ["own.yaml"]


def test_a_base_that_is_not_a_regular_file_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zeros.yaml").symlink_to("/dev/zero")
    for name in ("pipe.yaml", "zeros.yaml"):
        (tmp_path / "own.yaml").write_text(f"_BASE_: {name}\n")
        with pytest.raises(UserError, match=f"own.yaml.*{name} cannot be read"):
            load_config(tmp_path / "own.yaml", [])


def test_a_file_of_any_size_is_an_error(tmp_path):
    (tmp_path / "own.yaml").write_text("SEED: 3\n" + "#" * MAX_BYTES)
    with pytest.raises(UserError, match="own.yaml.* bytes"):
        load_config(tmp_path / "own.yaml", [])


def test_bases_that_multiply_are_an_error(tmp_path):
    """Each file names the next one twice: 2 ** 30 files to read, of 30 that there are."""
    for number in range(30):
        (tmp_path / f"{number}.yaml").write_text(f"_BASE_: [{number + 1}.yaml, {number + 1}.yaml]\n")
    (tmp_path / "30.yaml").write_text("SEED: 3\n")
    with pytest.raises(UserError, match="0.yaml.*_BASE_.*more than"):
        load_config(tmp_path / "0.yaml", [])


def bomb(kind, levels=30):
    """YAML in which each value is ten times the one before it."""
    values = [f"a0: &a0 {kind[0]}x: 1{kind[1]}" if kind == "{}" else f"a0: &a0 {kind[0]}1{kind[1]}"]
    for level in range(levels):
        alias = f"*a{level}"
        parts = [f"k{n}: {alias}" for n in range(10)] if kind == "{}" else [alias] * 10
        values.append(f"a{level + 1}: &a{level + 1} {kind[0]}{', '.join(parts)}{kind[1]}")
    return "\n".join(values)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bomb("[]"), "more than .* values"),
        (bomb("{}"), "more than .* values"),
        ("SOLVER: &a [*a]", "more than .* values"),
        ("SOLVER: &a {x: *a}", "more than .* values"),
        ("SEED: " + "[" * 30_000, "nested too deeply"),
        ("SEED: " + "{a: " * 10_000, "nested too deeply"),
        ("- " * 30_000, "nested too deeply"),
        (f"SEED: '{'-' * 9_000}1'", "nested too deeply"),
        (f"SEED: '{'(1,' * 150}'", "nested too deeply|type"),
        (f"DATASETS: {{ROOT: '{'-' * 9_000}1'}}", "nested too deeply"),
        ("SEED: '{{}}'", "unhashable"),
        ("SEED: !!bool maybe", "maybe"),
        ("SEED: !!timestamp never", "own.yaml"),
        ("SEED: " + "9" * 9_000, "4300 digits"),
        ("SEED: 1" + ":1" * 4_000 + ".5", "too large"),
        ("SEED: 1" + ":1" * 10_000, "characters"),
        ("SEED: " + "[" * 25 + "]" * 25, "nested too deeply"),
        ("SEED: [" + "1," * 20_000 + "]", "more than .* values"),
    ],
    ids=range(18),
)
@pytest.mark.parametrize("base", [False, True])
def test_a_file_that_asks_for_too_much_is_an_error(tmp_path, content, words, base):
    (tmp_path / "own.yaml").write_text(content)
    (tmp_path / "derived.yaml").write_text("_BASE_: own.yaml\n")
    with pytest.raises(UserError, match=words) as caught:
        load_config(tmp_path / ("derived.yaml" if base else "own.yaml"), [])
    assert caught.value.exit_code == EXIT_USAGE and str(caught.value).startswith(str(tmp_path / "own.yaml"))


def test_aliases_are_fine_where_they_are_few(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "INPUT: {MIN_SIZE_TRAIN: &sizes [3, 4], MAX_SIZE_TRAIN: 9}\nSOLVER: {STEPS: *sizes}\n"
    )
    cfg = load_config(tmp_path / "own.yaml", [])
    assert cfg.INPUT.MIN_SIZE_TRAIN == cfg.SOLVER.STEPS == (3, 4)


@pytest.mark.parametrize("value", ["-" * 100_000 + "1", "(1," * 150, "{{}}"])
def test_a_value_of_the_command_line_that_asks_for_too_much_is_an_error(value):
    with pytest.raises(UserError, match="command line"):
        load_config(BASE, ["SEED", value])


def test_of_several_bases_the_last_counts_most(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "root.yaml").write_text("SOLVER: {MOMENTUM: 0.1, GAMMA: 0.1, EPOCHS: 1}\nSEED: 1\n")
    (tmp_path / "sub/one.yaml").write_text("_BASE_: ../root.yaml\nSOLVER: {MOMENTUM: 0.2, GAMMA: 0.2}\nSEED: 2\n")
    (tmp_path / "sub/two.yaml").write_text("SOLVER: {GAMMA: 0.3}\nSEED: 3\n")
    (tmp_path / "own.yaml").write_text("_BASE_: [sub/one.yaml, sub/two.yaml]\nSEED: 4\n")
    cfg = load_config(tmp_path / "own.yaml", [])
    assert (cfg.SOLVER.EPOCHS, cfg.SOLVER.MOMENTUM, cfg.SOLVER.GAMMA, cfg.SEED) == (1, 0.2, 0.3, 4)
