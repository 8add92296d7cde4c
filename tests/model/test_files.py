"""Model files: the broken are refused in one sentence, the rest are read without running them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from zoo import BROKEN, SPECIMENS, Built, plain_model, put

from medaudit.core.errors import MedauditError, ModelError
from medaudit.model import batch as batches
from medaudit.model import file as files
from medaudit.model import session as sessions
from medaudit.model.facts import Batching, block_size, stream_size

CAUSES = {
    "git-lfs-pointer": "Git LFS",
    "gzip": "gzip",
    "pickle": "pickle",
    "empty": "empty",
    "truncated": "cut off",
    "no-graph": "no graph",
    "missing-external-data": "model.onnx.data' is missing",
    "external-escape": "leaves the model's folder",
    "unknown-domain-op": "SecretLayer",
    "future-opset": "opset 99",
    "future-ir": "IR version 99",
    "html-page": "web page",
}


def opened(path: Path) -> None:
    """A file as a scan opens it: looked at, then loaded."""
    files.inspect(path)
    sessions.open_session(path)


def refusal(path: Path) -> str:
    """The words by which a file is refused; "" for a model."""
    try:
        opened(path)
    except ModelError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(name: str, tmp_path: Path) -> None:
    """One sentence with cause and remedy; nothing of ONNX Runtime's own text."""
    path = BROKEN[name](tmp_path)
    with pytest.raises(MedauditError) as caught:
        opened(path)
    text = str(caught.value)
    assert CAUSES[name] in text
    assert caught.value.hint
    assert caught.value.exit_code == 2
    for raw in ("ONNXRuntimeError", "onnxruntime", "Traceback", "::", "INVALID", ".cc:", "\n"):
        assert raw not in text
    assert len(text) < 400


@pytest.mark.parametrize("name", BROKEN)
def test_sessions_refuse_too(name: str, tmp_path: Path) -> None:
    """Opened without a look at the file first, a broken file is still a sentence."""
    path = BROKEN[name](tmp_path)
    with pytest.raises(ModelError) as caught:
        sessions.open_session(path)
    assert "\n" not in str(caught.value)
    assert "[ONNXRuntimeError]" not in str(caught.value)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """All specimens."""
    return {name: s.build(tmp_path_factory.mktemp(name)) for name, s in SPECIMENS.items()}


def test_every_specimen_is_inspected(built: dict[str, Built]) -> None:
    """Names, types and shapes as declared, operators counted, every file digested."""
    for name, one in built.items():
        facts, _ = files.inspect(one.model)
        session = sessions.open_session(one.model)
        assert [t.name for t in facts.inputs] == [i.name for i in session.get_inputs()], name
        assert [t.name for t in facts.outputs] == [o.name for o in session.get_outputs()], name
        assert all(re.fullmatch(r"[0-9a-f]{64}", sha) for _, sha, _ in facts.files)
        assert facts.sha256
        assert sum(count for _, count in facts.operators) > 0
        assert all("unknown" not in t.dtype for t in facts.inputs)
        assert facts.graph.isprintable()
        assert facts.producer.isprintable()
        for finding in facts.findings:
            assert finding.severity in ("high", "medium", "low", "info")
            assert finding.text.isprintable()


def test_what_the_walk_finds(built: dict[str, Built]) -> None:
    """Random operators, odd opset imports, external data."""
    findings = {n: " ".join(f.text for f in files.inspect(b.model)[0].findings) for n, b in built.items()}
    assert "RandomNormalLike draws random numbers" in findings["random-output"]
    assert "listed twice" in findings["duplicate-opset-domain"]
    assert "not listed in opset_import" in findings["missing-default-opset"]
    assert findings["linear-sigmoid"] == ""
    facts, _ = files.inspect(built["external-data"].model)
    assert [name for name, _, _ in facts.files] == ["model.onnx", "model.onnx.data"]


def test_external_data_is_part_of_the_identity(tmp_path: Path) -> None:
    """Another byte in the weights' file is another model."""
    one = SPECIMENS["external-data"].build(tmp_path)
    before = files.inspect(one.model)[0].sha256
    data = one.model.with_name("model.onnx.data")
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    assert files.inspect(one.model)[0].sha256 != before


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    """A link that leaves the folder is refused, a hard link is a finding."""
    one = SPECIMENS["external-data"].build(tmp_path / "in")
    data = one.model.with_name("model.onnx.data")
    outside = tmp_path / "outside"
    outside.hardlink_to(data)
    facts, _ = files.inspect(one.model)
    assert any("hard links" in f.text for f in facts.findings)
    data.unlink()
    data.symlink_to(outside)
    with pytest.raises(ModelError, match="is a link that leaves the model's folder"):
        files.inspect(one.model)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p / "nothing.onnx", "there is no such file"),
        (lambda p: p, "this is not a file"),
        (lambda p: put(p, b"\x89HDF\r\n\x1a\n"), "HDF5"),
        (lambda p: put(p, b"PK\x03\x04zip"), "zip archive"),
        (lambda p: put(p, b"hello world, this is text"), "not an ONNX model"),
        (lambda p: put(p, b"\x00" * 100), "not an ONNX model|holds no graph"),
        (lambda p: put(p, b"\x08\x07\x00\x00ORTM" + b"\x00" * 50), ".ort file"),
    ],
)
def test_not_a_model(make: object, words: str, tmp_path: Path) -> None:
    """By path, by first bytes, by what the parser says."""
    with pytest.raises(ModelError, match=words) as caught:
        files.inspect(make(tmp_path))  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_every_prefix_of_a_model_is_refused(tmp_path: Path) -> None:
    """A download that was cut off anywhere never becomes another exception, nor a model."""
    whole = plain_model().SerializeToString()
    lengths = range(0, len(whole), max(1, len(whole) // 60))
    words = [refusal(put(tmp_path, whole[:length])) for length in lengths]
    assert not any("\n" in text for text in words)
    assert words.count("") <= 1, "only the fields at the very end may be missing"


def test_fixed_batch(built: dict[str, Built]) -> None:
    """What the inputs declare; 0 where the batch is free."""
    for name, one in built.items():
        _, proto = files.inspect(one.model)
        expected = 0 if name == "lstm-batch-lie" else one.expect.get("fixed_batch", 0)
        assert batches.fixed_batch(proto) == expected, name


def test_freeing_leaves_the_original(built: dict[str, Built]) -> None:
    """The rewrite is a copy."""
    _, proto = files.inspect(built["fixed-batch-1-freeable"].model)
    before = proto.SerializeToString()
    batches.freed(proto)
    assert proto.SerializeToString() == before


def test_stream_sizes() -> None:
    """A quarter of a megabyte, 4 to 1,024 rows, where they come in one stream; a fixed batch stays."""
    free = Batching("free")
    assert [stream_size(n, free) for n in (1, 128, 1000, 48_000, 10**9)] == [1024, 1024, 256, 4, 4]
    assert stream_size(128, Batching("fixed", 3)) == 3


def test_block_sizes() -> None:
    """From row bytes and device only, and a fixed batch is its own block."""
    free = Batching("free")
    assert block_size(24, free, "cpu", 500) == 64
    assert [block_size(24, free, "cpu", n) for n in (1, 5, 12, 50, 64, 10**6)] == [4, 4, 8, 8, 16, 64]
    assert block_size(10**9, Batching("fixed", 3), "cuda:0", 500) == 3
    sizes = [block_size(1 << k, free, "cpu", 500) for k in range(4, 30)]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) >= 1
    cuda = [block_size(1 << k, free, "cuda", 5000) for k in range(4, 30)]
    assert cuda == sorted(cuda, reverse=True)
    assert all(8 <= s <= 1024 and s & (s - 1) == 0 for s in cuda)
    assert block_size(24, free, "cpu", 500) == block_size(24, free, "cpu", 500)


def test_cuda_is_never_replaced_silently(tmp_path: Path) -> None:
    """Without a working CUDA provider, asking for CUDA is an error and not a slow run."""
    path = put(tmp_path, plain_model().SerializeToString())
    try:
        session = sessions.open_session(path, "cuda")
    except ModelError as error:
        words, remedy = error.message, error.hint
    else:
        assert session.get_providers()[0] == sessions.CUDA
        return
    assert "CUDA" in words
    assert "--device cpu" in remedy
