"""From a folder to a file: what is recorded, what is repeatable, and what is never left behind."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from checkpoints import to_bf16, write_checkpoint
from reference import DATA, TEMPLATE

from edgeguard.convert import TYPES, Converted, Source, convert, gguf_file, quantizer
from edgeguard.errors import ConversionError
from edgeguard.gguf.content import write_digest

SMALL: dict[str, Any] = {"hidden": 32, "ffn": 32, "heads": 2, "kv_heads": 1, "head_dim": 8}
QUANTIZED = [kind for kind in TYPES if kind not in ("bf16", "f16")]
FILE_TYPES = {"bf16": 32, "f16": 1, "q8_0": 7, "q6_k": 18, "q4_k_m": 15, "q4_k_s": 14, "q4_0": 2}
"""llama_ftype in llama.h, which llama.cpp prints and other tools read."""
SOURCE = Source("Qwen/Qwen3Guard-Gen-0.6B", "fada3b2f655b89601929198343c94cd2f64d93cc")


CONVERSATION = (DATA / "conversation.jinja").read_text(encoding="utf-8")
KINDS: dict[str, dict[str, Any]] = {
    "gen": {"template": TEMPLATE, "duplicate_head": True},
    "stream": {"template": CONVERSATION, "inner": 32},
}


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp(request.param) / "c", **KINDS[request.param])


def metadata(path: Path) -> dict[str, Any]:
    return {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()}


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_is_written_and_recorded(tmp_path: Path, checkpoint: Path, kind: str) -> None:
    out = tmp_path / "out.gguf"
    steps: list[tuple[int, int]] = []
    made = convert(
        checkpoint, out, type=kind, source=SOURCE, progress=lambda *step: steps.append(step)
    )
    content = out.read_bytes()
    sources = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in checkpoint.iterdir()}
    digest = hashlib.sha256(content).hexdigest()
    assert made == Converted(out, kind, len(content), digest, sources)
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]

    found = metadata(out)
    model = checkpoint.parent.name.rstrip("0123456789")
    assert found["edgeguard.protocol"] == f"qwen3guard-{model}"
    assert found["edgeguard.converter"] == version("edgeguard")
    assert found["edgeguard.source.repo"] == SOURCE.repo
    assert found["edgeguard.source.revision"] == SOURCE.revision
    assert found["edgeguard.source.sha256"] == [
        f"{digest}  {name}" for name, digest in sorted(sources.items())
    ]
    assert found["general.file_type"] == FILE_TYPES[kind]
    assert found["general.name"] == "Qwen3Guard-Gen-0.6B"
    assert found["tokenizer.chat_template"] == KINDS[model]["template"]

    assert steps[-1][0] == steps[-1][1] and steps == sorted(steps)
    assert len({total for _, total in steps}) == 1


@pytest.mark.parametrize("kind", ["bf16", "q4_k_m"])
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, checkpoint: Path, kind: str) -> None:
    first = convert(checkpoint, tmp_path / "one", type=kind)
    time.sleep(1.1)  # a clock in the file would show
    assert convert(checkpoint, tmp_path / "two", type=kind).sha256 == first.sha256


@pytest.mark.parametrize("kind", QUANTIZED)
def test_quantized_types_are_what_llamas_quantizer_makes_of_the_lossless_file(
    tmp_path: Path, checkpoint: Path, kind: str
) -> None:
    """The lossless file equals the reference's (test_reference), so this one does."""
    lossless = convert(checkpoint, tmp_path / "bf16", type="bf16").path
    (tmp_path / "theirs").touch()
    quantizer.quantize(lossless, tmp_path / "theirs", kind, lambda _count: None)
    write_digest(tmp_path / "theirs")
    ours = convert(checkpoint, tmp_path / "ours", type=kind).path
    assert ours.read_bytes() == (tmp_path / "theirs").read_bytes()


def test_narrow_rows_are_stored_in_a_larger_type_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """llama.cpp puts Q5_0 and Q8_0 where Q4_K and Q6_K need rows of 256."""
    folder = write_checkpoint(tmp_path / "c", **SMALL)
    made = convert(folder, tmp_path / "out", type="q4_k_m", trust_template=True)
    assert "rows of 16 and 32 values are no multiple of 256" in caplog.text
    types = {t.name: t.tensor_type.name for t in gguf.GGUFReader(made.path).tensors}
    assert types["blk.0.ffn_up.weight"] == "Q5_0"
    assert types["token_embd.weight"] == "Q8_0"
    assert types["blk.0.attn_output.weight"] == "F16"  # rows of 16


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["bf16", "q4_k_m"])
def test_weights_that_are_not_finite(tmp_path: Path, kind: str, bad: float) -> None:
    folder = write_checkpoint(tmp_path / "c", **SMALL)
    overwrite_last_value(folder, bad)
    with pytest.raises(ConversionError, match=r"model.norm.weight holds NaN or infinite values"):
        convert(folder, tmp_path / "out", type=kind, trust_template=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c"]


def test_weights_beyond_half_precision(tmp_path: Path) -> None:
    """The reference writes infinity here; the model would answer nonsense."""
    folder = write_checkpoint(tmp_path / "c", **SMALL)
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    content[start : start + 2] = to_bf16(np.array([1e6])).tobytes()  # of the embedding
    path.write_bytes(content)
    with pytest.raises(ConversionError, match="beyond the range of f16; try --type bf16"):
        convert(folder, tmp_path / "out", type="f16", trust_template=True)
    convert(folder, tmp_path / "out", type="bf16", trust_template=True)


def test_bad_arguments(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ConversionError, match="unknown type 'q3'; known types: bf16, f16"):
        convert(checkpoint, tmp_path / "out", type="q3")
    with pytest.raises(ConversionError, match=r"there is no folder .*`edgeguard pull` fetches"):
        convert("Qwen/Qwen3Guard-Gen-0.6B", tmp_path / "out")
    with pytest.raises(ConversionError, match=r"is not a folder; name the folder that holds"):
        convert(checkpoint / "config.json", tmp_path / "out")
    with pytest.raises(ConversionError, match="is a folder; name a file"):
        convert(checkpoint, checkpoint)
    assert list(tmp_path.iterdir()) == []


def test_a_template_that_asks_something_else_stops_the_conversion(tmp_path: Path) -> None:
    template = TEMPLATE.replace("PII", "Personal data")
    folder = write_checkpoint(tmp_path / "c", template=template, **SMALL)
    with pytest.raises(ConversionError, match=r"expected 'PII\.', found 'Personal data\.'"):
        convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_printed(
    tmp_path: Path, checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    convert(checkpoint, tmp_path / "out", type="q4_0")
    assert capfd.readouterr() == ("", "")


def test_a_disk_that_fills_up_while_we_write(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf_file, "_pad", full)
    for kind in ("bf16", "q4_k_m"):
        with pytest.raises(ConversionError, match="is full; free some space"):
            convert(checkpoint, tmp_path / "out", type=kind)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_quantizing_leaves_nothing(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quantizer, "quantize", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(checkpoint, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("kind", ["bf16", "q4_k_m"])
def test_a_killed_conversion_leaves_no_output_and_the_next_one_works(
    tmp_path: Path, checkpoint: Path, kind: str
) -> None:
    """Killed at the first byte of the last pass: the scratch file lies there, half-written."""
    out = tmp_path / "out"
    code = """if True:
        import os, signal, sys
        from edgeguard.convert import convert
        def progress(done, total):
            if done > total * 0.8:
                os.kill(os.getpid(), signal.SIGKILL)
        convert(sys.argv[1], sys.argv[2], type=sys.argv[3], progress=progress)
    """
    command = [sys.executable, "-c", code, str(checkpoint), str(out), kind]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    left = [path.name for path in tmp_path.iterdir()]
    assert left and "out" not in left
    convert(checkpoint, out, type=kind)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_conversions_to_one_name_at_the_same_time(tmp_path: Path, checkpoint: Path) -> None:
    """One wins; the other says that the file exists; the file is whole."""
    errors: list[ConversionError] = []

    def work() -> None:
        try:
            convert(checkpoint, tmp_path / "out", type="bf16")
        except ConversionError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 2 and all("exists already" in str(error) for error in errors)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    expected = convert(checkpoint, tmp_path / "other", type="bf16").sha256
    assert hashlib.sha256((tmp_path / "out").read_bytes()).hexdigest() == expected


def overwrite_last_value(folder: Path, value: float) -> None:
    """Change the last bfloat16 of the file, which belongs to the last norm."""
    path = folder / "model.safetensors"
    bits = (np.array([value], dtype="<f4").view("<u4") >> 16).astype("<u2").tobytes()
    path.write_bytes(path.read_bytes()[:-2] + bits)


def test_the_sources_are_hashed_as_they_are_named(checkpoint: Path, tmp_path: Path) -> None:
    """The lines in the metadata are what `sha256sum -c` reads."""
    made = convert(checkpoint, tmp_path / "out", type="bf16")
    lines = "\n".join(metadata(made.path)["edgeguard.source.sha256"]) + "\n"
    if not Path("/usr/bin/sha256sum").exists():
        pytest.skip("needs sha256sum")
    done = subprocess.run(
        ["sha256sum", "--strict", "-c"], input=lines, text=True, cwd=checkpoint, capture_output=True
    )
    assert done.returncode == 0, done.stderr
