"""report.html: offline, script-free, harmless with hostile names, complete."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
import specimen

from medaudit.audit.results import Report
from medaudit.report import html, view, words, write_html

VOID = {"meta", "img", "br", "link", "hr", "input"}
FORBIDDEN = (
    r"\bcertif\w*|\bguarant\w*|\bcompl(?:y|ies|iant)\b|\bconform\w*"
    r"|\brobust\b|\bapproved\b|\bsafe\b"
)


class Page(HTMLParser):
    """Tags with attributes, ids, the text outside <style>, and unclosed tags."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.style = self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data + " "

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "2026-01-14-9f3c"
    specimen.write_evidence(folder)
    return folder


@pytest.fixture(scope="module")
def source(run_folder: Path) -> str:
    return write_html(specimen.report(), run_folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def hostile() -> Report:
    """Every string of a report replaced, by way of its JSON, but for the closed vocabularies."""
    report = specimen.report(name=specimen.HOSTILE)
    report.policy.title = report.policy.basis = report.run.id = specimen.HOSTILE
    report.model.decision = report.model.producer = report.model.task = specimen.HOSTILE
    report.model.inputs[0].name = report.data.file = specimen.HOSTILE
    report.model.inputs[0].shape = [specimen.HOSTILE, None, 3]
    report.data.classes = {specimen.HOSTILE: 3}
    report.environment = {specimen.HOSTILE: specimen.HOSTILE}
    report.flags = report.limits = report.model.notes = [specimen.HOSTILE]
    report.tool["version"] = specimen.HOSTILE
    for check in report.checks:
        check.id = check.title = check.reason = check.page = check.rule = specimen.HOSTILE
        check.proves = check.family = check.severity = specimen.HOSTILE
        check.metrics = {f"{specimen.HOSTILE}{k}": v for k, v in check.metrics.items()}
        for case in check.cases:
            case.id = case.group = case.sample = case.before = case.note = specimen.HOSTILE
            case.distance = {specimen.HOSTILE: 1.0}
    report.compliance[0].about = report.compliance[0].framework = specimen.HOSTILE
    return report


def test_the_policy_of_the_page_comes_first_and_matches_its_style(source: str, page: Page) -> None:
    assert source.startswith('<!doctype html>\n<html lang="en">\n<head>\n<meta http-equiv=')
    content = page.all("meta")[0]["content"]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert content == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert len(page.all("style")) == 1


def _check_closed(page: Page) -> None:
    """Nothing runs, nothing loads, nothing is styled in place."""
    assert not page.open
    assert not {"script", "link", "iframe", "object", "embed", "form", "base", "svg"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        assert "style" not in attrs
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "poster", "background"):
            link = attrs.get(name, "")
            assert not re.match(r"\s*(?:[a-z][a-z0-9+.-]*:|//|\\)", link, re.I) or (
                tag == "img" and link.startswith("data:image/svg+xml;base64,")
            )
    assert not re.search(r"@import|url\(|https?:", page.style)


def test_nothing_runs_and_nothing_loads(source: str, page: Page) -> None:
    _check_closed(page)
    assert "http://" not in source
    assert "https://" not in source


def test_hostile_text_stays_text(run_folder: Path) -> None:
    source = html.render(hostile(), run_folder)
    page = Page(source)
    _check_closed(page)
    assert "<script" not in source
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in source
    assert "{{ 7 * 7 }}" in source
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", source)


def test_long_text_is_cut(run_folder: Path) -> None:
    name = "A" * 100_000
    report = specimen.report([], name=name)
    report.model.producer = report.policy.basis = name
    report.limits = [name] * 3
    assert len(html.render(report, run_folder)) < 100_000


def test_links_leave_the_run_folder_in_no_way(run_folder: Path) -> None:
    for path in ("/etc/passwd", "../x.npz", "evidence/../../x", "\\\\host\\x", "", None):
        assert view.link(path) == ""
    assert view.link("javascript:alert(1)") == "javascript%3Aalert%281%29"
    assert view.link("evidence/a b/c.npz") == "evidence/a%20b/c.npz"
    checks = specimen.evasion()
    for case in checks[0].cases:
        case.evidence = "../../../etc/passwd"
    source = html.render(specimen.report(checks), run_folder)
    assert "passwd" not in source
    outside = run_folder.parent / "outside.npz"
    specimen.signal_file(outside, 1)
    (run_folder / "evidence" / "link.npz").symlink_to(outside)
    items = view.draw(checks[0].cases[0].model_copy(update={"evidence": "evidence/link.npz"}), run_folder)
    assert "not inside the run folder" in items[0].text


def test_every_check_is_listed_with_its_verdict(page: Page) -> None:
    report = specimen.report()
    text = " ".join(page.text.split())
    for check in report.checks:
        assert text.count(check.title) >= 2  # in the table, and in its own section
        assert check.reason in text
    for word in words.VERDICTS.values():
        assert word in text
    assert "2 of 9 checks failed: Noise an electrode could pick up (noise-evasion)" in text
    assert "+60 patients would settle it" in text
    assert "not broken by these attacks within this budget" in text
    assert "Holds patient samples." in text
    assert "medaudit replay 2026-01-14-9f3c noise-evasion-" in text


def test_a_pass_claims_no_more_than_it_may(run_folder: Path) -> None:
    checks = [c for c in specimen.evasion() if c.verdict == "pass"]
    report = specimen.report(checks, verdict="pass", exit_code=0)
    assert words.headline(report) == "All 2 checks passed."
    assert any("not broken by these attacks within this budget" in s for s in words.meaning(report))
    none = specimen.report([c for c in specimen.others() if c.verdict == "not-run"], verdict="not-run")
    assert words.headline(none).startswith("Nothing was tested")


def test_waivers_are_told_apart_by_date() -> None:
    check = specimen.evasion()[2]
    report = specimen.report([check], verdict="not-run", exit_code=0)
    assert words.headline(report).startswith("No check failed outside a waiver")
    check.waiver = {**(check.waiver or {}), "expires": "2020-01-01"}
    assert words.headline(specimen.report([check])).startswith("1 of 1 checks failed")


def test_our_own_words_claim_nothing_forbidden() -> None:
    proofs = html.TEMPLATES / "_certificate.html.j2"  # only where something is certified
    files = [*(set(html.TEMPLATES.glob("*.j2")) - {proofs}), Path(words.__file__)]
    own = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for name in ("robust_accuracy", "check.certificate", "item.certified", "_certificate.html", "certificates"):
        own = own.replace(name, "")
    for of_cases in ('return "certified" if', '"Certified distance" if'):
        assert own.count(of_cases) == 1
        own = own.replace(of_cases, "")
    assert re.findall(FORBIDDEN, own, re.I) == []


def test_the_page_can_be_read_without_seeing_it(page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert tags.count(landmark) == 1
    assert page.all("a")[0] == {"class": "skip", "href": "#main"}
    assert all("scope" in th for th in page.all("th"))
    assert tags.count("table") == tags.count("caption")
    assert all(len(img["alt"]) > 20 for img in page.all("img"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")}
    targets |= {attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs}
    assert targets <= set(ids)


def test_images_are_sound_svg_without_style_or_links(page: Page) -> None:
    images = [base64.b64decode(img["src"].split(",")[1]) for img in page.all("img")]
    assert len(images) > 12
    for image in images:
        root = ET.fromstring(image)  # a doubled attribute would be an error
        assert root.tag.endswith("svg")
        for node in root.iter():
            assert "style" not in node.attrib
            links = [v for k, v in node.attrib.items() if k.endswith("href")]
            assert all(v.startswith(("#", "data:image/png")) for v in links)


def test_the_page_is_the_same_each_time_and_small(source: str, run_folder: Path) -> None:
    assert html.render(specimen.report(), run_folder) == source
    assert len(source) < 2_000_000


def test_dense_noise_on_twelve_leads_stays_small(tmp_path: Path) -> None:
    for names in specimen.EVIDENCE.values():
        for i, name in enumerate(names):
            specimen.dense_file(tmp_path / name, i)
    assert len(html.render(specimen.report(), tmp_path)) < 2_000_000


def test_runs_without_samples_or_evidence_say_so(tmp_path: Path) -> None:
    report = specimen.report()
    report.run.samples_included = False
    text = " ".join(Page(html.render(report, tmp_path)).text.split())
    assert "is not in the run folder" in text
    assert "Holds patient samples." not in text


def test_a_report_of_almost_nothing_renders(tmp_path: Path) -> None:
    report = specimen.report([], baseline={}, flags=[], compliance=[], limits=[], environment={}, verdict="not-run")
    report.model.files, report.model.inputs, report.model.findings = [], [], []
    page = Page(html.render(report, tmp_path))
    assert "No baseline was measured" in page.text
    _check_closed(page)


def test_heavy_libraries_are_imported_only_to_render() -> None:
    code = (
        "import sys, medaudit.report, medaudit.report.terminal, medaudit.report.json;"
        "print(sorted({'jinja2', 'matplotlib'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_pages_of_rules_become_paragraphs() -> None:
    kinds = [(block.kind, block.text) for block in view.blocks(specimen.PAGE)]
    assert ("paragraph", "Square noise") in kinds
    assert ("heading", "What it asks") in kinds
    assert ("item", "the size of the box") in kinds
    assert ("code", "    medaudit explain square-noise") in kinds
    assert view.blocks("") == []
    assert view.blocks("---\n\n- a\n  b\n\n# C\ntext") != []


def test_flags_of_the_audit_have_words() -> None:
    from medaudit.audit.results import FLAGS as FLAG_TEXTS

    assert set(FLAG_TEXTS) <= set(words.FLAGS)
