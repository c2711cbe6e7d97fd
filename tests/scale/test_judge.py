"""A table with its verdicts: the same for each form of table and each way to cut it."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import pickle
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from batch_runs import fake
from command_line import CommandLine
from failing import FailingSession
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeguard import Guard, InputError, MissingExtraError, ModelNotFoundError, SessionError
from edgeguard.scale import Judge, guards
from edgeguard.session.fake import FakeSession

Make = Callable[[dict[str, list[Any]]], Any]


def _arrays(columns: dict[str, list[Any]]) -> dict[str, Any]:
    found = {}
    for name, values in columns.items():
        found[name] = np.empty(len(values), dtype=object)
        found[name][:] = values
    return found


FORMS: dict[str, Make] = {
    "arrays": _arrays,
    "pandas": pd.DataFrame,
    "table": pa.table,
    "batch": pa.RecordBatch.from_pydict,
}


def plain(judged: Any) -> list[dict[str, Any]]:
    """The rows of a table in any form."""
    if isinstance(judged, (pa.Table, pa.RecordBatch)):
        return list(judged.to_pylist())
    if isinstance(judged, pd.DataFrame):
        return [{str(k): v for k, v in row.items()} for row in judged.to_dict("records")]
    names = list(judged)
    return [dict(zip(names, values)) for values in zip(*(judged[name] for name in names))]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[guards.Options]]:
    """Guards on a scripted session instead of a model; those that were made."""
    made: list[guards.Options] = []

    def load(options: guards.Options) -> Guard:
        made.append(options)
        return fake()[0]

    monkeypatch.setattr(guards.Options, "load", load)
    monkeypatch.setattr(guards, "_guards", {})
    yield made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.usefixtures("loads")
def test_a_row_has_its_verdict_or_its_error(form: str) -> None:
    columns: dict[str, list[Any]] = {
        "id": [1, 2, 3, 4],
        "text": ["Hello", "a kettle", None, "\u200b"],
    }
    given_ = FORMS[form](columns)
    judged = Judge()(given_)
    assert type(judged) is (pa.Table if form == "arrays" else type(given_))
    rows = plain(judged)
    assert [list(row) for row in rows] == [["id", "text", "verdict", "verdict_error"]] * 4
    assert [row["id"] for row in rows] == [1, 2, 3, 4]
    assert [row["verdict"] and row["verdict"]["severity"] for row in rows] == [
        "Safe", "Unsafe", None, None,
    ]  # fmt: skip
    assert rows[1]["verdict"]["categories"] == ["Violent"]
    assert [row["verdict_error"] for row in rows] == [
        None,
        None,
        "the field 'text' is empty: there is nothing to judge",
        "the field 'text' has no visible character: there is nothing to judge",
    ]
    assert [list(row) for row in plain(given_)] == [["id", "text"]] * 4, "it is changed"


TEXTS = st.one_of(
    st.none(), st.sampled_from(["", "a kettle", "Hello"]), st.text(max_size=20), st.just("\x00")
)


@pytest.mark.usefixtures("loads")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=4),
    form=st.sampled_from(list(FORMS)),
)
def test_all_forms_and_partitions_give_the_rows_of_one_table(
    rows: list[tuple[Any, Any]], cuts: list[int], form: str
) -> None:
    judge = Judge(response_field="answer")
    columns = {
        "text": pa.array([text for text, _ in rows], pa.string()),
        "answer": pa.array([answer for _, answer in rows], pa.string()),
    }
    whole = judge(pa.table(columns)).to_pylist()
    parts: list[dict[str, Any]] = []
    places = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, end in pairwise(places):
        part = {name: column[start:end].to_pylist() for name, column in columns.items()}
        made = pa.table(part, pa.schema({name: pa.string() for name in part}))
        parts += plain(judge(made if form in ("table", "batch") else FORMS[form](part)))
    assert [(row["verdict"], row["verdict_error"]) for row in parts] == [
        (row["verdict"], row["verdict_error"]) for row in whole
    ]


@pytest.mark.usefixtures("loads")
def test_what_is_added_has_one_type_whatever_the_rows_hold() -> None:
    judge = Judge()
    for texts in (["Hello"], ["a kettle", None], [None], []):
        judged = judge(pa.table({"text": pa.array(texts, pa.string())}))
        assert judged.schema.field("verdict").type == judge.fields[0].type
        assert judged.schema.field("verdict_error").type == pa.string()
    column = judge.column(text=pa.array(["Hello", None]))
    assert column.type == judge.column_type
    assert [one["verdict_error"] is None for one in column.to_pylist()] == [True, False]
    assert judge.column(text=pa.array([], pa.string())).type == judge.column_type


def test_the_verdicts_of_a_table_are_those_of_batch(
    tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    rows = {
        "text": ["How can I make a bomb?", "Hello", None, "How can I make a bomb?"],
        "response": ["I'm sorry, but I can't help with that.", None, None, None],
    }
    pq.write_table(pa.table(rows), tmp_path / "in.parquet")
    judge = Judge("nano", threads=1, mapped_weights=False)
    argv = [
        "batch",
        str(tmp_path / "in.parquet"),
        "--out",
        str(tmp_path / "out.parquet"),
        "--exact",
    ]
    ended = CommandLine(capsys, monkeypatch)(*argv, "--model", "nano", "--threads", "1")
    assert ended.code == 2, "a row has no text"
    from_batch = pq.read_table(tmp_path / "out.parquet")
    judged = judge(pa.table(rows))
    assert judged.schema == from_batch.schema.remove_metadata()
    assert judged.column("verdict") == from_batch.column("verdict")
    assert [said and f"row 3: {said}" for said in judged["verdict_error"].to_pylist()] == (
        from_batch["verdict_error"].to_pylist()
    )


@pytest.mark.usefixtures("loads")
def test_conversations() -> None:
    talk = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "a kettle"}]
    as_json = '[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "a kettle"}]'
    for form, make in FORMS.items():
        for value in (talk, as_json):
            rows = plain(Judge()(make({"messages": [value, value]})))
            assert [row["verdict"]["mode"] for row in rows] == ["response", "response"], form
            assert [row["verdict"]["message"] for row in rows] == [1, 1], form
    nested = {"body": [{"messages": talk}]}
    (row,) = plain(Judge(messages_field="body.messages")(pa.table(nested)))
    assert row["verdict"]["severity"] == "Unsafe"
    arrays = _arrays({"messages": [np.array(talk, dtype=object)]})  # as Ray and pandas nest lists
    assert plain(Judge()(arrays))[0]["verdict"]["severity"] == "Unsafe"


class _Row(tuple[Any, ...]):
    """As Spark hands a struct over."""

    def asDict(self) -> dict[str, Any]:  # noqa: N802 - Spark's name
        return dict(zip(("role", "content"), self))


@pytest.mark.usefixtures("loads")
def test_rows_of_spark_are_messages() -> None:
    frame = pd.DataFrame({"messages": [[_Row(("user", "a kettle"))]]})
    assert plain(Judge()(frame))[0]["verdict"]["severity"] == "Unsafe"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("options", "columns", "said"),
    [
        ({}, {"prompt": ["a"]}, "no field 'text'; it has: prompt; name .* text_field="),
        ({"text_field": "x"}, {"prompt": ["a"]}, "no field 'x'"),
        ({"response_field": "y"}, {"text": ["a"]}, "response_field="),
        ({"messages_field": "m"}, {"text": ["a"]}, "messages_field="),
        ({}, {"text": ["a"], "verdict": [1]}, "'verdict' is there already.* verdict_field="),
        ({}, {"text": [1, 2]}, "the column 'text' is .*int.*, not text"),
        ({}, {"text": ["a"], "response": [True]}, "the column 'response' is .*bool.*, not text"),
    ],
)
def test_what_is_wrong_with_all_rows_ends_the_job(
    form: str,
    options: dict[str, Any],
    columns: dict[str, list[Any]],
    said: str,
    loads: list[guards.Options],
) -> None:
    batch = FORMS[form](columns)
    if form == "arrays":
        batch = {name: np.array(values) for name, values in columns.items()}
    with pytest.raises(InputError, match=said):
        Judge(**options)(batch)
    assert not loads


@pytest.mark.usefixtures("loads")
def test_a_partition_without_a_text_is_not_taken_for_numbers() -> None:
    frame = pd.DataFrame({"text": [float("nan"), float("nan")]})
    assert [row["verdict"] for row in plain(Judge()(frame))] == [None, None]


def test_no_rows_load_no_model(loads: list[guards.Options]) -> None:
    judged = Judge()(pd.DataFrame({"text": pd.Series([], dtype="str")}))
    assert list(judged.columns) == ["text", "verdict", "verdict_error"]
    assert Judge()({}) == {}
    assert not loads
    with pytest.raises(InputError, match="no field 'text'"):
        Judge()(pd.DataFrame({"prompt": []}))


@pytest.mark.parametrize("given_", [["Hello"], "Hello", 5, None])
def test_what_is_no_table(given_: object) -> None:
    with pytest.raises(InputError, match="a batch is "):
        Judge()(given_)


def test_two_columns_with_one_name() -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(InputError, match="two columns with one name"):
        Judge()(table)
    frame = pd.DataFrame([["a", "b"]], columns=["text", "text"])
    with pytest.raises(InputError, match="two columns with one name"):
        Judge()(frame)


@pytest.mark.usefixtures("loads")
def test_a_text_that_is_not_utf_8_is_one_rows_error() -> None:
    bad = pa.array([b"Hello", b"\xff"])
    broken = pa.Array.from_buffers(pa.string(), 2, bad.buffers())
    for column in (bad, broken):
        rows = Judge()(pa.table({"text": column})).column("verdict_error").to_pylist()
        assert rows == [None, "a text is not UTF-8"]
    frame = pd.DataFrame({"text": [b"Hello", b"\xff"]})
    assert [row["verdict_error"] for row in plain(Judge()(frame))] == [None, "a text is not UTF-8"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text_field": ""}, "cannot be empty"),
        ({"verdict_field": ""}, "cannot be empty"),
        ({"text_field": "a", "messages_field": "b"}, "messages_field= holds the whole"),
        ({"messages_format": "openia"}, "no form of messages 'openia'; there are: openai"),
        ({"messages_format": "openai", "response_field": "a"}, "see messages_field="),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Judge(**options)


def test_a_model_that_fails_on_one_text_and_one_that_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = FailingSession()
    monkeypatch.setattr(guards, "_guards", {})
    monkeypatch.setattr(guards.Options, "load", lambda _: Guard.with_session(session))
    judge, rows = Judge(), pa.table({"text": ["Hello", "heavy", "Hi"]})
    assert judge(rows)["verdict_error"].to_pylist() == [None, "llama.cpp could not compute", None]
    session.broken = True
    with pytest.raises(SessionError, match="could not compute"):
        judge(rows)


def test_an_absent_model_is_an_error_at_each_call() -> None:
    judge = Judge("absent")
    for _ in range(2):
        with pytest.raises(ModelNotFoundError, match="no model is named 'absent'"):
            judge(pa.table({"text": ["Hello"]}))


def test_errors_survive_the_way_between_processes() -> None:
    try:
        Judge("absent")(pa.table({"text": ["Hello"]}))
    except ModelNotFoundError as error:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is ModelNotFoundError
        assert str(again) == str(error)


def test_one_guard_a_process(loads: list[guards.Options]) -> None:
    judge = Judge("nano")
    table = pa.table({"text": ["Hello"]})
    judges = [judge, pickle.loads(pickle.dumps(judge)), Judge("nano", text_field="text")]
    threads = [threading.Thread(target=each, args=(table,)) for each in judges * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    Judge("nano", policy="loose")(table)
    assert len(loads) == 2


def _in_a_fork(judge: Judge, answers: Any) -> None:
    judged = judge(pa.table({"text": ["How can I make a bomb?"]}))
    answers.put((os.getpid(), judged.column("verdict").to_pylist()[0]["severity"]))
    answers.close()
    answers.join_thread()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_its_own_guard() -> None:
    judge = Judge("nano", threads=1)
    judge(pa.table({"text": ["Hello"]}))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_in_a_fork, args=(judge, answers))
    child.start()
    pid, severity = answers.get(timeout=120)
    child.join(60)
    assert (child.exitcode, severity) == (0, "Unsafe")
    assert pid != os.getpid()


def _engine(**names: Any) -> ModuleType:
    module = ModuleType("engine")
    vars(module).update(names)
    return module


def _raises(_: object = None) -> Any:
    raise ValueError("No worker found")


def _resources(**found: float) -> Any:
    return lambda: SimpleNamespace(get_assigned_resources=lambda: found)


@pytest.mark.parametrize(
    ("engine", "module", "threads"),
    [
        ("ray", {"is_initialized": lambda: True, "get_runtime_context": _resources(CPU=3.0)}, 3),
        ("ray", {"is_initialized": lambda: True, "get_runtime_context": _resources(CPU=0.5)}, 1),
        ("ray", {"is_initialized": lambda: True, "get_runtime_context": _resources()}, 1),
        ("ray", {"is_initialized": lambda: False}, 1),
        ("pyspark", {"TaskContext": SimpleNamespace(get=lambda: None)}, 1),
        (
            "pyspark",
            {"TaskContext": SimpleNamespace(get=lambda: SimpleNamespace(cpus=lambda: 2))},
            2,
        ),
        ("distributed", {"get_worker": _raises}, 1),
        (
            "distributed",
            {"get_worker": lambda: SimpleNamespace(state=SimpleNamespace(nthreads=4))},
            4,
        ),
        ("none", {}, 1),
    ],
)
def test_threads_are_the_processors_of_the_task(
    engine: str, module: dict[str, Any], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ray", "pyspark", "distributed"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, engine, _engine(**module))
    made: list[dict[str, Any]] = []

    def guard(**options: Any) -> None:
        made.append(options)

    monkeypatch.setattr(guards, "Guard", guard)
    guards.Options(model="nano").load()
    guards.Options(model="nano", threads=7).load()
    assert [one["threads"] for one in made] == [threads, 7]
    assert made[0]["mapped_weights"] is True


def test_exact_verdicts_are_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession(lambda _: "Safety: Safe\nCategories: None")
    monkeypatch.setattr("edgeguard.together.LONGEST", 8192)  # a fake's tokens are bytes
    monkeypatch.setattr(guards, "_guards", {})
    monkeypatch.setattr(guards.Options, "load", lambda _: Guard.with_session(session))
    table = pa.table({"text": ["Hello", "Hi"]})
    Judge()(table)
    assert session.exact == [True, True]
    assert not session.sequences(()).passes
    Judge(exact=False)(table)
    assert len(session.exact) == 2
    assert session.sequences(()).passes[0] == (0, 1)


def test_a_time_limit_is_a_rows_error(monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession(lambda _: "Safety: Safe\nCategories: None", seconds=5)
    monkeypatch.setattr(guards, "_guards", {})
    monkeypatch.setattr(guards.Options, "load", lambda _: Guard.with_session(session))
    (error,) = Judge(timeout=0.05)(pa.table({"text": ["Hello"]}))["verdict_error"].to_pylist()
    assert "in the time" in error or "0.05" in error or "time" in error


def test_without_pyarrow_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyarrow" else real(name)
    )
    with pytest.raises(MissingExtraError, match=r"edgeguard\[parquet\]|\.\[parquet\]"):
        Judge()({"text": np.array(["Hello"])})


def _mappings(file: str) -> list[str]:
    lines = Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.endswith(file)]


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for this process's mappings")
def test_the_pages_of_mapped_weights_are_the_files(tmp_path: Path, nano_path: Path) -> None:
    path = shutil.copy(nano_path, tmp_path / "other.gguf")
    with Guard(path, threads=1) as guard:
        guard.check("Hello")
        assert not _mappings("other.gguf"), "without the option there is a copy"
    with Guard(path, threads=1, mapped_weights=True) as guard:
        guard.check("Hello")
        (mapping,) = _mappings("other.gguf")
        assert " r--s " in mapping or " r--p " in mapping, "nobody can write there"


def test_mapped_weights_give_the_verdicts_of_copied_ones(nano: Guard) -> None:
    with Guard("nano", threads=1, mapped_weights=True) as mapped:
        for text in ("How can I make a bomb?", "What is the capital of France?"):
            one, other = nano.check(text), mapped.check(text)
            assert one.severity == other.severity
            assert abs(one.probabilities["Unsafe"] - other.probabilities["Unsafe"]) < 0.02
            assert mapped.check(text).probabilities == other.probabilities


@pytest.mark.usefixtures("loads")
def test_arrays_that_arrow_does_not_know_are_refused_with_a_way_out() -> None:
    with pytest.raises(InputError, match=r"'picture' cannot be .*batch_format='pyarrow'"):
        Judge()({"text": np.array(["Hello"], dtype=object), "picture": np.zeros((1, 2, 2))})
    with pytest.raises(InputError, match="not equally long"):
        Judge()({"text": np.array(["Hello"], dtype=object), "id": np.array([1, 2])})
