"""Cases drawn: every domain, missing values, files that are damaged or hostile."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import specimen

from medaudit.report import charts, evidence, figures, paper, signal, view
from medaudit.report.evidence import draw_case


def texts(svg: bytes) -> str:
    return " ".join(node.text or "" for node in ET.fromstring(svg).iter() if node.tag.endswith("text"))


@pytest.mark.parametrize("leads", [1, 3, 12, 15])
def test_signals_on_millimetre_paper(tmp_path: Path, leads: int) -> None:
    specimen.signal_file(tmp_path / "a.npz", leads)
    figure, table = draw_case(tmp_path / "a.npz")
    assert "25 mm/s, 10 mm/mV" in figure.text
    assert figure.wide == (leads > 6)
    assert ("12 most changed of 15" in figure.text) == (leads == 15)
    assert "Difference, on the same scale" in texts(figure.svg)
    assert len(table.rows) == min(leads, 12)
    assert len(figure.svg) < 250_000


def test_a_signal_without_rate_or_volts_gets_a_plain_frame(tmp_path: Path) -> None:
    specimen.signal_file(tmp_path / "a.npz", 2, unit="kPa")
    figure, _ = draw_case(tmp_path / "a.npz")
    assert "mm/mV" not in figure.text
    assert "scale of its own" in figure.text
    assert "kPa" in figure.text


def test_microvolts_and_stored_scale_give_the_same_paper(tmp_path: Path) -> None:
    clean = specimen.ecg(1, 1000, 250.0)
    drawn = []
    for unit, stored, unit_size in (("mV", 1.0, 1.0), ("uV", 1000.0, 1.0), ("mV", 200.0, 200.0)):
        facts = {"rate": 250.0, "unit_size": unit_size}
        inputs = [specimen.layer("signal", 1, 1, 1000, [{"name": "I", "unit": unit}], **facts)]
        perturbed = clean.copy()
        perturbed[0, 400:500] += 0.2
        specimen.save(tmp_path / "a.npz", inputs, stored * clean, stored * perturbed)
        figure, table = draw_case(tmp_path / "a.npz")
        assert "10 mm/mV" in figure.text
        paths = [n.attrib["d"] for n in ET.fromstring(figure.svg).iter() if "d" in n.attrib]
        drawn.append(paths)
    assert drawn[0] == drawn[1] == drawn[2]


@pytest.mark.parametrize("planes", [1, 2, 3])
def test_images_share_one_window(tmp_path: Path, planes: int) -> None:
    specimen.image_file(tmp_path / "a.npz", planes, side=300)
    (figure,) = draw_case(tmp_path / "a.npz")
    assert "0 to 255 grey" in figure.text
    assert "one pixel of 2 by 2" in figure.text
    assert ("of 2 is shown" in figure.text) == (planes == 2)
    assert {"Clean", "Perturbed", "Difference"} <= set(texts(figure.svg).split())


def test_sequences_mark_what_is_missing(tmp_path: Path) -> None:
    specimen.sequence_file(tmp_path / "a.npz")
    figure, table = draw_case(tmp_path / "a.npz")
    assert "4 most changed of 8 variables" in figure.text
    assert "Weight" not in texts(figure.svg)  # never measured, never changed
    changes = {row[4] for row in table.rows}
    assert changes & {"was missing", "now missing"}
    assert len(table.rows) == int(table.text.split(":")[1].split()[0])


def test_tables_mark_changed_cells(tmp_path: Path) -> None:
    specimen.table_file(tmp_path / "a.npz")
    (table,) = draw_case(tmp_path / "a.npz")
    rows = dict(zip((row[0] for row in table.rows), table.rows, strict=True))
    assert rows["admission"][1:4] == ("emergency", "urgent", "other category")
    assert rows["creatinine"][1:] == ("1.42", "1.17", "-0.25", "mg/dL")
    assert rows["lactate"][1:4] == ("missing", "missing", "")
    assert {table.rows[i][0] for i in table.marked} == {"admission", "creatinine", "white cells"}


def test_wide_tables_list_only_what_changed(tmp_path: Path) -> None:
    channels = [{"name": f"f{i}"} for i in range(300)]
    clean = np.zeros(300)
    perturbed = clean.copy()
    perturbed[[3, 200]] = 1.0
    specimen.save(tmp_path / "a.npz", [specimen.layer("table", 1, 1, 300, channels)], clean, perturbed)
    (table,) = draw_case(tmp_path / "a.npz")
    assert [row[0] for row in table.rows] == ["f3", "f200"]
    assert "the others are not listed" in table.text


def test_several_inputs_are_drawn_one_after_another(tmp_path: Path) -> None:
    inputs = [
        specimen.layer("table", 1, 1, 3, [], name="vitals"),
        specimen.layer("sequence", 1, 2, 5, [], name="chart"),
    ]
    clean, perturbed = np.arange(13.0), np.arange(13.0)
    perturbed[1] = 9.0
    specimen.save(tmp_path / "a.npz", inputs, clean, perturbed)
    first, second = draw_case(tmp_path / "a.npz")
    assert first.kind == "table"
    assert second == figures.Drawn("note", "Input chart: not changed in this case.")


@pytest.mark.parametrize("domain", ["signal", "image", "sequence", "table"])
@pytest.mark.parametrize("values", ["missing", "constant", "one", "infinite"])
def test_odd_values_are_drawn_all_the_same(tmp_path: Path, domain: str, values: str) -> None:
    shape = (1, 2, 40)
    clean = np.full(shape, np.nan if values == "missing" else 5.0)
    perturbed = clean.copy()
    if values == "one":
        clean[:], perturbed[:] = np.nan, np.nan
        clean[0, 0, 3] = perturbed[0, 0, 3] = 1.0
    if values == "infinite":
        perturbed[0, 0] = np.inf
    perturbed[0, 1, 7] = 6.0
    specimen.save(tmp_path / "a.npz", [specimen.layer(domain, *shape, [], rate=10.0)], clean, perturbed)
    items = draw_case(tmp_path / "a.npz")
    assert items[0].kind in ("figure", "table")
    for item in items:
        if item.svg:
            ET.fromstring(item.svg)


@pytest.mark.parametrize("name", [specimen.HOSTILE, "$x^2$ $", "心電図", "_" * 500, "\x00"])
def test_hostile_names_reach_a_figure_as_text(tmp_path: Path, name: str) -> None:
    specimen.signal_file(tmp_path / "a.npz", 2, name=name)
    for item in draw_case(tmp_path / "a.npz"):
        assert b"<script" not in item.svg
        assert "\x1b" not in item.text
        assert "\u202e" not in item.text
        if item.svg:
            ET.fromstring(item.svg)


def _npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_without_samples_there_is_a_note(tmp_path: Path) -> None:
    (note,) = draw_case(_npz(tmp_path / "a.npz", delta=np.ones(3)))
    assert note.kind == "note"
    assert "not included" in note.text


def test_absent_files_are_a_note(tmp_path: Path) -> None:
    assert "is not in the run folder" in draw_case(tmp_path / "no.npz")[0].text


def _layout(**more: Any) -> np.ndarray:
    return np.array(json.dumps({"inputs": [{**specimen.layer("table", 1, 1, 3, []), **more}]}))


def _bad(path: Path, kind: str) -> None:
    x = np.ones(3)
    if kind == "text":
        path.write_text("not an archive")
    elif kind == "cut":
        data = io.BytesIO()
        np.savez_compressed(data, clean=np.random.default_rng(1).random(5000))
        path.write_bytes(data.getvalue()[:2000])
    elif kind == "pickle":
        _npz(path, clean=np.array([{}], dtype=object), perturbed=x, layout=_layout())
    elif kind == "size":
        _npz(path, clean=np.ones(4), perturbed=np.ones(4), layout=_layout())
    elif kind == "words":
        _npz(path, clean=np.array(["a", "b", "c"]), perturbed=x, layout=_layout())
    else:
        changes = {
            "domain": {"domain": "video"},
            "negative": {"rows": -1},
            "huge": {"columns": 2**60},
        }
        _npz(path, clean=x, perturbed=x, layout=_layout(**changes[kind]))


@pytest.mark.parametrize("kind", ["text", "cut", "pickle", "size", "words", "domain", "negative", "huge"])
def test_damaged_or_hostile_files_are_a_note(tmp_path: Path, kind: str) -> None:
    _bad(tmp_path / "a.npz", kind)
    (note,) = draw_case(tmp_path / "a.npz")
    assert note.kind == "note"
    assert "cannot be read" in note.text or "does not fit" in note.text


def test_archives_that_unpack_to_much_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "LARGEST", 1000)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("clean.npy", b"0" * 100_000)
    assert "cannot be read" in draw_case(tmp_path / "a.npz")[0].text


def test_the_window_is_where_most_happens() -> None:
    size = np.zeros((2, 1000))
    size[1, 700:750] = 1.0
    window = signal.busiest(size, 100)
    assert window.start <= 700
    assert window.stop >= 750
    assert signal.busiest(size, 1000) == slice(0, 1000)


def test_an_envelope_keeps_every_extreme() -> None:
    values = np.random.default_rng(3).standard_normal(20_000)
    x, kept = paper.envelope(values, 400)
    assert len(x) <= 400
    assert {values.min(), values.max()} <= set(kept)
    assert paper.envelope(values[:10], 400)[1] is not None


def test_paths_get_shorter_and_stay_in_place() -> None:
    source = 'x d="M 10.123 20.4567 \nL 11.5 -3.25 \nL 12 4 \nz\nM 1 1 \nL 0.5 0.25 " y'
    short = figures.re.sub(r' d="([^"]*)"', figures._shorter, source)
    assert short == 'x d="M10.12 20.46l1.38 -23.71 .5 7.25zM1 1l-.5 -.75" y'
    steps = " ".join(f"L {i / 7:.6f} {(-1) ** i * i / 3:.6f}" for i in range(1, 500))
    drawn = figures._relative(f"M 0 0 {steps}".split(), 10)
    numbers = [float(n) for n in figures.re.findall(r"-?(?:\d+\.?\d*|\.\d+)", drawn)]
    assert sum(numbers[0::2]) == pytest.approx(499 / 7, abs=0.06)
    assert sum(numbers[1::2]) == pytest.approx(-499 / 3, abs=0.06)


def test_figures_are_the_same_each_time_and_leave_settings_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    specimen.sequence_file(tmp_path / "a.npz")
    assert draw_case(tmp_path / "a.npz") == draw_case(tmp_path / "a.npz")
    curve = specimen.rising(0.4, 5000)
    assert charts.curve(curve, 5000) == charts.curve(curve, 5000)
    assert dict(mpl.rcParams) == before


def test_charts_survive_the_smallest_input() -> None:
    one = specimen.Curve(queries=[1], success=[0.0], low=[0.0], high=[1.0])
    ET.fromstring(charts.curve(one, None))
    assert charts.curve_rows(one) == [("1", "0.0%", "0.0% to 100.0%")]
    assert charts.thinned(0, 5) == []
    assert charts.thinned(5000, 12)[-1] == 4999
    assert charts.dots(specimen.report(specimen.others()))[0].name == "baseline"


def test_distances_are_drawn_only_where_they_differ() -> None:
    checks = {check.id: check for check in specimen.evasion()}
    assert charts.distances(checks["noise-evasion"]) == []  # all at the limit
    found = charts.distances(checks["boundary-distance"])
    assert found == sorted(found)
    ET.fromstring(charts.histogram(checks["boundary-distance"], found))


def test_cases_are_ranked_worst_first_and_two_are_picked() -> None:
    ranked = view.rank(specimen.evasion()[0])
    assert [c.success for c in ranked] == sorted((c.success for c in ranked), reverse=True)
    broken = [c.queries or 0 for c in ranked if c.success]
    assert broken == sorted(broken)
    (why, worst), (other, median) = view.choose(ranked)
    assert (why, other) == ("Worst case", "Median case")
    assert worst is ranked[0]
    assert median.queries == broken[(len(broken) - 1) // 2]
    assert view.choose([c for c in ranked if not c.success]) == []
