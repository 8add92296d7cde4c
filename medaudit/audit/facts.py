"""What was tested: model and data as the report describes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medaudit.audit import results
from medaudit.audit.inputs import outside
from medaudit.audit.truth import truth_of
from medaudit.core.interface import Interface
from medaudit.core.text import printable

if TYPE_CHECKING:
    from medaudit.audit.scan import Plan


def model_facts(plan: Plan) -> results.ModelFacts:
    facts, interface = plan.found.facts, plan.found.interface

    def tensor(t: Any) -> results.TensorFacts:
        shape = None if t.shape is None else [printable(d) if isinstance(d, str) else d for d in t.shape]
        return results.TensorFacts(name=printable(t.name), dtype=t.dtype, shape=shape)

    return results.ModelFacts(
        file=printable(Path(facts.path).name),
        sha256=facts.sha256,
        files=[results.FileFacts(path=printable(p), sha256=s, bytes=b) for p, s, b in facts.files],
        inputs=[tensor(t) for t in facts.inputs],
        outputs=[tensor(t) for t in facts.outputs],
        task=interface.output.task,
        domain=" + ".join(dict.fromkeys(i.domain for i in interface.inputs)),
        decision=decision_words(interface),
        batch={"free": "any", "freed": "freed", "fixed": f"fixed at {plan.found.batching.size}"}[
            plan.found.batching.kind
        ],
        provider=plan.environment["provider"],
        producer=facts.producer,
        opsets=dict(facts.opsets),
        parameters=facts.parameters,
        findings=[{"severity": f.severity, "text": f.text} for f in facts.findings],
        notes=[printable(n, 500) for n in interface.notes],
    )


def decision_words(interface: Interface) -> str:
    """How the answer is read, in one sentence."""
    votes = interface.output.votes
    return _reading(interface) + (f"; each answer is a vote of {votes} askings" if votes > 1 else "")


def _reading(interface: Interface) -> str:
    output = interface.output
    names = ", ".join(printable(c, 60) for c in output.classes[:12])
    tensor = printable(", ".join(output.tensors), 120)
    if output.task == "multiclass":
        return f"{output.meaning} from output {tensor!r}: the largest of {names} is the decision"
    if output.task == "label":
        return f"label in {tensor}: one of {names}"
    if output.task == "binary":
        return f"{output.meaning} in {tensor}: {printable(output.classes[1], 60)} from {output.thresholds[0]:g}"
    if output.task == "multilabel":
        if len(set(output.thresholds)) == 1:
            return f"{output.meaning} in {tensor}: each of {names} from {output.thresholds[0]:g}"
        each = zip(output.classes[:12], output.thresholds, strict=False)
        cuts = ", ".join(f"{printable(c, 60)} from {cut:g}" for c, cut in each)
        return f"{output.meaning} in {tensor}: {cuts}"
    if output.task == "segmentation":
        return f"mask in {tensor}: {output.positions} positions, classes {names}"
    if output.task == "reconstruction":
        return f"reconstruction in {tensor}: root mean square error against the input"
    return f"value in {tensor}"


def data_facts(plan: Plan) -> results.DataFacts:
    used = sorted({s for c in plan.checks for s in c.samples})
    limits = []
    if plan.policy.data.use.at_most:
        limits.append(f"each check attacks at most {plan.policy.data.use.at_most} patients (policy)")
    if plan.options.limit:
        limits.append(f"each check attacks only the first {plan.options.limit} patients (--limit)")
    classes: dict[str, int] = {}
    output = plan.found.interface.output
    if plan.data.y is not None and output.task in ("multiclass", "binary", "label"):
        truth = truth_of(output, plan.data.y)
        classes = {printable(c, 80): int((truth == i).sum()) for i, c in enumerate(output.classes)}
    return results.DataFacts(
        file=printable(Path(plan.data.path).name),
        sha256=plan.data.sha256,
        rows=plan.data.rows,
        groups=len(set(plan.data.groups)),
        used=len(used),
        used_groups=len({plan.data.groups[s] for s in used}),
        limited="; ".join(limits),
        classes=classes,
        notes=[printable(n, 300) for n in (*plan.data.notes, *_about_data(plan, classes))],
    )


def _about_data(plan: Plan, classes: dict[str, int]) -> list[str]:
    """What a reader of the figures should know about the records."""
    notes = [note for item in plan.found.interface.inputs for note in outside(item, plan.data)]
    if plan.data.length is not None and all(i.domain in ("table", "image") for i in plan.found.interface.inputs):
        notes.append("length is not used: no input is a series")
    present = [name for name, count in classes.items() if count]
    if len(present) == 1:
        notes.append(f"all labels are {present[0]!r}: clean performance says nothing of the other classes")
    return notes
