"""The resolved policy: what a run really did, as a policy file that does the same again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medaudit.audit.resolve import written_id
from medaudit.core.interface import Channel, Input, Interface
from medaudit.oracle.goal import EVERY
from medaudit.policy.schema import Policy
from medaudit.policy.write import dump
from medaudit.rule.base import as_dict

if TYPE_CHECKING:
    from medaudit.audit.scan import Plan


def resolved_policy(plan: Plan) -> str:
    """Text of the run folder's policy.yaml."""
    data = as_data(plan.policy, plan.found.interface)
    data["defaults"]["seed"] = plan.seed
    first = {written_id(check.spec.id): check for check in reversed(plan.checks)}
    for section in data["checks"]:
        check = first[section["id"]]
        section["budget"] = {"queries": check.spec.budget}
        if check.spec.settings is not None:
            section["with"] = as_dict(check.spec.settings)
        if check.spec.threat is not None:
            goal = check.spec.goal
            every = check.spec.id != section["id"]
            section["goal"] = {
                "what": EVERY if every else goal.what,
                "name": "" if every else goal.name,
                "amount": goal.amount,
                "stop": goal.stop,
            }
    return dump(data)


def as_data(policy: Policy, interface: Interface) -> dict[str, Any]:
    """A policy with the whole interface written out."""
    data: dict[str, Any] = policy.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    data.setdefault("defaults", {})
    limits, always = (data.get("model", {}).get(key) for key in ("constraints", "stages"))
    votes = policy.model.votes
    data["model"] = {
        "inputs": {item.name: input_section(item) for item in interface.inputs},
        "output": output_section(interface),
        **({"votes": votes} if votes > 1 else {}),
        **({"constraints": limits} if limits else {}),
        **({"stages": always} if always else {}),
    }
    order = ("medaudit", "policy", "model", "data", "threats", "stages", "explainers", "defaults", "checks", "waivers")
    return {name: data[name] for name in order if name in data}


def input_section(item: Input) -> dict[str, Any]:
    out: dict[str, Any] = {
        "domain": item.domain,
        "axes": list(item.axes),
        "stored_axes": list(item.stored_axes),
    }
    if item.rate:
        out["rate"] = f"{item.rate:.10g} Hz"
    if item.unit_size != 1.0:
        unit = item.channels[0].unit
        out |= {
            "unit": unit,
            "values": "scaled",
            "scale": {"over": f"{1 / item.unit_size:.10g} {unit}"},
        }
    elif item.minus != (0.0,) or item.over != (1.0,):
        one = len(item.minus) == 1
        out["scale"] = {
            "minus": item.minus[0] if one else list(item.minus),
            "over": item.over[0] if one else list(item.over),
        }
    out["channels"] = [channel_section(c) for c in item.channels]
    return out


def channel_section(channel: Channel) -> dict[str, Any]:
    out: dict[str, Any] = {"name": channel.name}
    if channel.unit:
        out["unit"] = channel.unit
    if channel.kind != "number":
        out["kind"] = channel.kind
    if channel.fixed:
        out["fixed"] = True
    if channel.lo is not None and channel.hi is not None:
        out["range"] = [channel.lo, channel.hi]
    if channel.kind != "category":
        out["sd"] = channel.sd
    if channel.step:
        out["step"] = channel.step
    if channel.categories:
        out["categories"] = list(channel.categories)
    return out


def output_section(interface: Interface) -> dict[str, Any]:
    output = interface.output
    out: dict[str, Any] = {
        "task": output.task,
        "tensors": list(output.tensors),
        "meaning": output.meaning,
    }
    if output.classes:
        out["classes"] = list(output.classes)
    if output.labels:
        out["labels"] = list(output.labels)
    if output.thresholds:
        same = len(set(output.thresholds)) == 1
        out["at_least"] = output.thresholds[0] if same else list(output.thresholds)
    if output.disease:
        out["disease"] = list(output.disease)
    if any(output.units):
        out["units"] = list(output.units)
    if output.task == "segmentation":
        out["class_axis"] = output.class_axis
    return out
