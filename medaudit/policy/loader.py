"""Policy files: found, read strictly, validated with every problem placed and explained."""

from __future__ import annotations

import difflib
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from medaudit.core.errors import PolicyError, PolicyErrors
from medaudit.policy.crosswalk import Crosswalk, load_crosswalk
from medaudit.policy.schema import Policy
from medaudit.policy.strict import Document, read

# Pydantic's kinds of error, in words for people who have never heard of it.
MUST_BE = {
    "model_type": "a block of 'key: value' lines",
    "dict_type": "a block of 'key: value' lines",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_type": "text (put it in quotes)",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def shipped_folder() -> Path:
    """Where the policies that come with the package are."""
    inside = Path(__file__).resolve().parent.parent / "policies"
    return inside if inside.is_dir() else inside.parent.parent / "policies"


def shipped() -> list[str]:
    """Names of the shipped policies."""
    return sorted(p.name for p in shipped_folder().glob("*.yaml") if p.name != "crosswalk.yaml")


def find(name: str) -> Path:
    """A path, or else a shipped policy of that name."""
    path = Path(name)
    if path.is_file():
        return path
    own = shipped_folder() / (name if name.endswith(".yaml") else f"{name}.yaml")
    if path.name == name and own.is_file() and own.name != "crosswalk.yaml":
        return own
    near = difflib.get_close_matches(path.name, shipped(), 1, 0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"shipped policies: {', '.join(shipped())}"
    raise PolicyError(f"{name}: there is no such policy file; {hint}")


def load(path: Path) -> tuple[Policy, Document]:
    """Read and validate; PolicyErrors carries every problem of the file at once."""
    document = read(path)
    if not isinstance(document.data, dict):
        raise document.error((), "a policy is a mapping of keys such as medaudit, policy, checks")
    problems: list[PolicyError] = []
    policy = None
    try:
        policy = Policy.model_validate(document.data)
    except ValidationError as error:
        problems += _explain(document, error)
    if policy is not None:
        problems += _references(policy, document, load_crosswalk())
    if problems or policy is None:
        raise PolicyErrors(problems)
    return policy, document


def _explain(document: Document, error: ValidationError) -> list[PolicyError]:
    problems: list[PolicyError] = []
    seen: set[tuple[Any, str]] = set()
    issues = error.errors(include_url=False)
    extra = {tuple(i["loc"][:-1]) for i in issues if i["type"] == "extra_forbidden"}
    for issue in issues:
        path = tuple(p for p in issue["loc"] if _real(document, tuple(issue["loc"]), p))
        if issue["type"] == "missing" and tuple(issue["loc"][:-1]) in extra:
            continue  # the misspelt key is the better message
        if issue["type"] == "too_short" and any(
            i["loc"][: len(issue["loc"])] == issue["loc"] for i in issues if i is not issue
        ):
            continue  # its items were refused one by one
        message = _message(document, issue, path)
        if (path, message) in seen or any(path == p and "union" in str(issue["loc"]) for p, _ in seen):
            continue
        seen.add((path, message))
        place = (*path, "\0key") if issue["type"] == "extra_forbidden" else path
        found = document.error(place, message)
        found.path = ".".join(str(p) for p in path)
        problems.append(found)
    return problems


def _real(document: Document, loc: tuple[Any, ...], part: Any) -> bool:
    """Pydantic adds names of union members to a location; keep what is in the file."""
    return not (isinstance(part, str) and ("[" in part or part in ("function-before", "float", "tuple", "any")))


def _message(document: Document, issue: Any, path: tuple[Any, ...]) -> str:
    kind, name = issue["type"], path[-1] if path else ""
    if kind == "extra_forbidden":
        fields = _fields(Policy, path[:-1])
        near = difflib.get_close_matches(str(name), fields, 1, 0.5)
        help_ = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(fields)}"
        return f"key {name!r} is not known here; {help_}"
    if kind == "missing":
        return f"key {name!r} is missing"
    if kind == "value_error":
        return str(issue["ctx"]["error"])
    if kind == "literal_error":
        expected = issue["ctx"]["expected"]
        options = [o.strip("'") for o in expected.replace(" or ", ", ").split(", ")]
        near = difflib.get_close_matches(str(issue["input"]), options, 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{name} is {issue['input']!r}, but must be {expected}{hint}"
    if kind in MUST_BE:
        return f"{name} must be {MUST_BE[kind]}"
    if kind in LIMITS:
        word, key = LIMITS[kind]
        return f"{name} is {issue['input']!r}, but must be {word} {issue['ctx'][key]}"
    return f"{name}: {issue['msg'][0].lower()}{issue['msg'][1:]}"


def _fields(model: Any, path: tuple[Any, ...]) -> list[str]:
    """Keys allowed at a path of the schema."""
    for part in path:
        model = _bare(model)
        if _is_model(model):
            fields = {f.alias or n: f.annotation for n, f in model.model_fields.items()}
            model = fields.get(str(part))
        else:  # a mapping or a list of models: its key or index
            model = next((a for a in reversed(get_args(model)) if a is not Ellipsis), None)
    model = _bare(model)
    return [f.alias or n for n, f in model.model_fields.items()] if _is_model(model) else []


def _bare(annotation: Any) -> Any:
    """`X | None` -> X."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _references(policy: Policy, document: Document, crosswalk: Crosswalk) -> list[PolicyError]:
    """Names that must exist elsewhere in the file or in the crosswalk."""
    problems: list[PolicyError] = []
    ids: set[str] = set()
    waived: set[str] = set()
    for i, check in enumerate(policy.checks):
        at = ("checks", i)
        if check.id in ids:
            problems.append(document.error((*at, "id"), f"check id {check.id!r} is used twice"))
        ids.add(check.id)
        if check.threat is not None and check.threat not in policy.threats:
            near = difflib.get_close_matches(check.threat, policy.threats, 1, 0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(document.error((*at, "threat"), f"threat {check.threat!r} is not declared{hint}"))
        for k, name in enumerate(check.behind):
            if name not in policy.stages:
                near = difflib.get_close_matches(name, policy.stages, 1, 0.4)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                problems.append(document.error((*at, "behind", k), f"stages {name!r} are not declared{hint}"))
        require = check.require
        if require and (require.at_least is None) == (require.at_most is None):
            problems.append(document.error((*at, "require"), "give one of at_least and at_most"))
        for k, reference in enumerate(check.maps_to):
            if reference not in crosswalk:
                near = difflib.get_close_matches(reference, crosswalk, 1, 0.6)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                where = (*at, "maps_to", k)
                problems.append(document.error(where, f"reference {reference!r} is not in the crosswalk{hint}"))
    for i, waiver in enumerate(policy.waivers):
        if waiver.check not in ids:
            place = ("waivers", i, "check")
            problems.append(document.error(place, f"waiver for a check {waiver.check!r} that does not exist"))
        elif waiver.check in waived:
            problems.append(document.error(("waivers", i, "check"), f"check {waiver.check!r} is waived twice"))
        waived.add(waiver.check)
    return problems
