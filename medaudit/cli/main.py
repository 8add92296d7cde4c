"""The command line: `medaudit`. Heavy imports happen inside commands, so that --help is quick."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Annotated

# Before anything can import onnxruntime, here and in every process started from here.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import typer

from medaudit import __version__
from medaudit.core.errors import MedauditError, RunError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Audit an exported ONNX medical model as a black box.",
)
policies = typer.Typer(no_args_is_help=True, help="Write and check policies.")
app.add_typer(policies, name="policy")

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="the .onnx file")]
PolicyOption = Annotated[str, typer.Option("--policy", "-p", help="a policy file, or the name of a shipped one")]
DataOption = Annotated[Path | None, typer.Option("--data", "-d", help="an .npz file with labelled records")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")]
Workers = Annotated[int, typer.Option(help="processes; 0: one per core, at most four", min=0, max=64)]
Only = Annotated[list[str] | None, typer.Option(help="run this check only (may be repeated)")]
Skip = Annotated[list[str] | None, typer.Option(help="leave this check out (may be repeated)")]
Limit = Annotated[int | None, typer.Option(help="attack the first N groups only", min=1)]
Seed = Annotated[int | None, typer.Option(help="in place of the policy's seed", min=0)]
Block = Annotated[int | None, typer.Option(help="rows per call of the model", min=1, max=4096)]
References = Annotated[
    list[Path] | None,
    typer.Option(metavar="MODEL", help="an approved model of the same form, to compare with (may be repeated)"),
]


def version(value: bool) -> None:
    if value:
        typer.echo(f"medaudit {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    _: Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="print the version")] = False,
) -> None:
    """Audit an exported ONNX medical model as a black box."""


@app.command()
def scan(
    model: Model,
    policy: PolicyOption,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option(help="the run folder; default: a new one under reports/")] = None,
    device: Device = "auto",
    workers: Workers = 0,
    only: Only = None,
    skip: Skip = None,
    limit: Limit = None,
    seed: Seed = None,
    block: Block = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="continue the run in this folder")] = None,
    include_samples: Annotated[bool, typer.Option(help="put records and their ids into report and evidence")] = False,
    reference: References = None,
    suspicious_inputs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="inputs to compare with clean records: do they carry a trigger?")
    ] = None,
    quiet: Annotated[bool, typer.Option(help="no progress")] = False,
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Run a policy's checks on a model and write a report."""
    from medaudit.audit.scan import Options
    from medaudit.audit.scan import scan as run_scan
    from medaudit.cli.progress import Progress, resume_hint
    from medaudit.report.bundle import publish
    from medaudit.report.terminal import print_report

    if resume is not None and out is not None and resume != out:
        raise MedauditError("--resume and --out name different folders", "give one of them")
    options = Options(
        model=model, policy=policy, data=data, out=resume or out, resume=resume is not None,
        device=chosen_device(device), workers=workers, only=tuple(only or ()), skip=tuple(skip or ()),
        limit=limit, seed=seed, block=block, include_samples=include_samples, references=tuple(reference or ()),
        suspicious=suspicious_inputs,
    )  # fmt: skip
    for name in ("SIGTERM", "SIGHUP"):  # ended from outside: say how to go on, as for Ctrl-C
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        with Progress(quiet=quiet) as progress:
            report, folder = run_scan(options, progress.listen)
        publish(report, folder)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {resume_hint()}", err=True)
        raise typer.Exit(130) from None
    from medaudit.cli.progress import console

    print_report(report, console(), folder)
    raise typer.Exit(report.exit_code)


def chosen_device(device: str) -> str:
    """auto: CUDA where the runtime, CuPy and a device are all there; otherwise what was asked."""
    if device == "auto":
        from medaudit.audit.machine import cuda_ready

        return "cuda:0" if cuda_ready() else "cpu"
    if device == "cuda":
        return "cuda:0"
    kind, _, number = device.partition(":")
    if device != "cpu" and not (kind == "cuda" and number.isdigit()):
        raise MedauditError(f"--device {device} is not known", "use auto, cpu, cuda or cuda:N")
    return device


@app.command()
def plan(
    model: Model,
    policy: PolicyOption,
    data: DataOption = None,
    device: Device = "auto",
    workers: Workers = 0,
    limit: Limit = None,
    block: Block = None,
    reference: References = None,
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Say what a scan would run, how long it takes, and what each check can prove."""
    from medaudit.audit.estimate import estimate
    from medaudit.audit.scan import Options
    from medaudit.cli.tables import print_plan

    options = Options(
        model, policy, data, device=chosen_device(device), workers=workers, limit=limit, block=block,
        references=tuple(reference or ()),
    )  # fmt: skip
    print_plan(estimate(options))


@app.command()
def inspect(model: Model, debug: Annotated[bool, typer.Option(help="show tracebacks")] = False) -> None:
    """Show a model's inputs, outputs, operators, digests and findings; exit 1 on a high finding."""
    from medaudit.audit.machine import inspect_model
    from medaudit.cli.tables import print_facts

    facts, problem = inspect_model(model)
    print_facts(facts, problem)
    raise typer.Exit(1 if problem or any(f.severity == "high" for f in facts.findings) else 0)


@policies.command("init")
def policy_init(
    model: Model,
    data: DataOption = None,
    domain: Annotated[str | None, typer.Option(help="signal, image, table or sequence")] = None,
    effort: Annotated[str, typer.Option(help="quick (a minute), standard (ten) or thorough (hours)")] = "standard",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="write here instead of standard output")] = None,
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Write a starter policy that scans as it is, with every applicable rule."""
    from medaudit.audit.starter import starter_policy
    from medaudit.core.files import write_atomic

    if data is None:
        raise MedauditError("policy init needs records to look at", "give --data FILE.npz")
    if out is not None and out.exists():
        raise MedauditError(f"{out} is there already", "remove it, or choose another -o")
    text = starter_policy(model, data, domain or "", effort)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomic(out, text.encode())
        typer.echo(f"wrote {out}", err=True)


@policies.command("check")
def policy_check(
    files: Annotated[list[str], typer.Argument(metavar="POLICY...")],
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Validate policies; every problem with line, column and a suggestion."""
    from medaudit.policy import loader
    from medaudit.rule import find, settings_of

    bad = False
    for name in files:
        try:
            policy, document = loader.load(loader.find(name))
            for i, check in enumerate(policy.checks):
                try:
                    settings_of(find(check.rule), check.with_)
                except ValueError as error:
                    raise document.error(("checks", i, "rule"), str(error)) from error
            typer.echo(f"{name}: valid, {len(policy.checks)} checks")
        except MedauditError as error:
            bad = True
            typer.echo(str(error), err=True)
    raise typer.Exit(2 if bad else 0)


@app.command()
def rules() -> None:
    """List the rules."""
    from medaudit.cli.tables import print_rules

    print_rules()


@app.command()
def explain(rule: Annotated[str, typer.Argument(help="a rule's name")]) -> None:
    """Print one rule's page."""
    from medaudit.rule import find
    from medaudit.rule.example import example

    try:
        found = find(rule)
    except ValueError as error:
        raise MedauditError(str(error)) from error
    typer.echo(f"{found.name} ({found.id})\n\n{found.page}\n\nIn a policy\n-----------\n{example(found)}", nl=False)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Render a run's report again."""
    from medaudit.audit.verify import verify as run_verify
    from medaudit.report import read_json
    from medaudit.report.bundle import publish

    held = read_json(run / "report.json")
    if (run / "manifest.json").exists():  # without one, the scan was cut off while it wrote the last files
        faults = [fault for fault in run_verify(run) if not fault.startswith("report.html:")]
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise RunError(f"{run} is not as the scan left it: {faults[0]}{more}", "see 'medaudit verify'")
    publish(held, run)
    typer.echo(f"{run / 'report.html'}")


@app.command()
def attribute(
    model: Model,
    data: Annotated[
        Path, typer.Option("--data", "-d", help="an .npz file; its reference rows are what cells give way to")
    ],
    index: Annotated[
        int | None,
        typer.Option(
            "--index", "-i", help="row of the data file, from 0; without it: what counts over all rows", min=0
        ),
    ] = None,
    kind: Annotated[str, typer.Option(help="occlusion, shapley, kernel-shap, lime, rise, ... of one row")] = "",
    rows: Annotated[int, typer.Option(help="model rows of the explanation, about; 0: the kind's own", min=0)] = 0,
    policy: Annotated[
        str, typer.Option("--policy", "-p", help="a policy whose model section and explainers hold")
    ] = "",
    explainer: Annotated[str, typer.Option(help="one of that policy's explainers, in the place of kind")] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="draw it here (.svg)")] = None,
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Explain one answer: what each piece of the record speaks for or against, and how sure that is.

    Without --index: what answers lose over all records when a piece is exchanged between them (permutation importance).
    """
    from medaudit.cli.attribution import explained

    explained(model, data, index, kind, rows, policy, explainer, out)


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
    case: Annotated[str, typer.Argument(metavar="CASE", help="a case's id, as in the report")],
    model: Annotated[Path | None, typer.Option(help="the model file, if it is no longer where it was")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="the data file, if it is no longer where it was"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="write clean and perturbed arrays here (.npz)"),
    ] = None,
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Rebuild one finding, ask the model again, and export its arrays."""
    from medaudit.audit.replay import replay as run_replay

    outcome = run_replay(run, case, model, data, out)
    for name, value in outcome.items():
        typer.echo(f"{name}: {value}")
    raise typer.Exit(0 if outcome["reproduced"] else 1)


@app.command()
def transfer(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders of several models, one data file")],
    check: Annotated[str, typer.Option(help="failing inputs of this check only")] = "",
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="the data file, if it is no longer where it was"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="write the matrix here (.json)")] = None,
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Put the failing inputs of each run before the models of the others: what carries over."""
    from medaudit.audit.transfer import as_json
    from medaudit.audit.transfer import transfer as run_transfer
    from medaudit.cli.tables import print_transfer
    from medaudit.core.files import write_atomic

    cells = run_transfer(runs, check, data)
    print_transfer(cells)
    if out is not None:
        write_atomic(out, as_json(cells).encode())


defend = typer.Typer(no_args_is_help=True, help="Data and models to defend with.")
app.add_typer(defend, name="defend")


@defend.command("export-adversarial")
def export_adversarial(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
    out: Annotated[Path, typer.Option("--out", "-o", help="write the data file here (.npz)")],
    check: Annotated[str, typer.Option(help="failing inputs of this check only")] = "",
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="the data file, if it is no longer where it was"),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="the model, if it is no longer where it was")] = None,
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Write a run's failing inputs, with the labels of their records, as a data file to train with."""
    from medaudit.audit.export import export

    count = export(run, out, check, data, model)
    typer.echo(f"{out}: {count} failing inputs")


@defend.command("fit-denoiser")
def fit_denoiser(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="the ONNX file that it is to stand before")],
    data: Annotated[Path, typer.Option("--data", "-d", help="data file; its reference rows are learned from")],
    out: Annotated[Path, typer.Option("--out", "-o", help="write the denoiser here (.onnx)")],
    policy: Annotated[str, typer.Option("--policy", "-p", help="how the model is fed, where the data do not say")] = "",
    name: Annotated[str, typer.Option("--input", help="the model's input, where there are several")] = "",
    kind: Annotated[str, typer.Option(help="autoencoder or vae")] = "autoencoder",
    noise: Annotated[float, typer.Option(help="the largest noise it learns to take out, in sd of each channel")] = 0.3,
    steps: Annotated[int, typer.Option(help="steps of training")] = 1000,
    seed: Annotated[int, typer.Option(help="of the training")] = 1,
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Train a small auto-encoder or VAE on reference rows, to stand before the model as a stage."""
    from medaudit.audit.denoise import fit_denoiser as fit

    found, tensor = fit(model, data, out, policy, name, kind, noise, steps, seed)
    typer.echo(f"{out}: takes {tensor!r}; learned from {found.learned} rows, measured on {found.held} others")
    typer.echo(
        f"of their variance: clean rows come back with {found.error:.1%} of error; "
        f"noise of {found.noisy:.1%} leaves {found.denoised:.1%}"
    )
    typer.echo(f"to attack the model behind it, write in the policy: stages: {{denoised: [{{denoiser: {out.name}}}]}}")


trigger = typer.Typer(no_args_is_help=True, help="Triggers and poisoned data, for positive controls.")
app.add_typer(trigger, name="trigger")
Fed = Annotated[Path, typer.Argument(metavar="MODEL", help="an ONNX file that is fed like the one to be tested")]
FedBy = Annotated[str, typer.Option("--policy", "-p", help="how the model is fed, where the data do not say")]


@trigger.command("make")
def trigger_make(
    model: Fed,
    data: Annotated[Path, typer.Option("--data", "-d", help="data file; its reference rows are drawn on")],
    out: Annotated[Path, typer.Option("--out", "-o", help="write the trigger here (.json)")],
    family: Annotated[str, typer.Option(help="temporal (as published), or a family of trigger-sweep")] = "temporal",
    dial: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, 0 to 1 (may be repeated); else 0.5")] = None,
    strength: Annotated[float, typer.Option(help="temporal: Mahalanobis length; families: 0 to 1")] = 1.0,
    policy: FedBy = "",
    seed: Annotated[int, typer.Option(help="of the draw", min=0)] = 1,
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Write a trigger file: a member of a family, or the temporal-dependence trigger as published."""
    from medaudit.audit.plant import make

    dials = {}
    for text in dial or ():
        name, _, value = text.partition("=")
        try:
            dials[name] = float(value)
        except ValueError:
            raise MedauditError(f"--dial {text} is not NAME=VALUE", "for example --dial place=0.3") from None
    typer.echo(f"{out}: {make(model, data, out, family, dials, strength, seed, policy)}")


@trigger.command("poison")
def trigger_poison(
    model: Fed,
    data: Annotated[Path, typer.Option("--data", "-d", help="the data file to poison a copy of")],
    file: Annotated[Path, typer.Option("--trigger", help="a trigger file")],
    target: Annotated[str, typer.Option(help="the class that triggered records are labelled")],
    out: Annotated[Path, typer.Option("--out", "-o", help="write the data file here (.npz)")],
    share: Annotated[float, typer.Option(help="of all records, taken from the other classes")] = 0.05,
    policy: FedBy = "",
    seed: Annotated[int, typer.Option(help="of the choice", min=0)] = 1,
    form: Annotated[str, typer.Option(help="of stays of 48 hours by 17 channels: write them as 48x76, or as 714")] = "",
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Write a data file with a share of its records triggered and labelled the target; never a model."""
    from medaudit.audit.plant import poison

    count, rows = poison(model, data, file, out, target, share, seed, policy, form)
    typer.echo(f"{out}: {count} of {rows} records carry the trigger and the label {target}")


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
    debug: Annotated[bool, typer.Option(help="show tracebacks")] = False,
) -> None:
    """Check a run folder's digests and invariants; exit 1 when something does not add up."""
    from medaudit.audit.verify import verify as run_verify

    faults = run_verify(run)
    for fault in faults:
        typer.echo(fault)
    typer.echo(f"{run}: {'changed or incomplete' if faults else 'every file and figure agrees'}")
    raise typer.Exit(1 if faults else 0)


@app.command()
def doctor() -> None:
    """Say what this machine can do, what is wrong with the installation, and the repair."""
    from medaudit.audit.machine import doctor as examine
    from medaudit.cli.tables import print_doctor

    raise typer.Exit(print_doctor(examine()))


def run() -> None:
    """Entry point: errors in one sentence, exit codes as documented."""
    debug = "--debug" in sys.argv
    try:
        app()
    except MedauditError as error:
        if debug:
            raise
        sys.stderr.write(f"medaudit: {error}\n")
        if error.exit_code == 4:
            sys.stderr.write("This is a fault of medaudit or of the machine; --debug shows more.\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        if debug:
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"medaudit: {place}{error.strerror or error}; check the path, its permissions and the disk\n")
        sys.exit(2)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, sqlite3.Error) as error:
        if debug:
            raise
        sys.stderr.write(
            f"medaudit: a fault of medaudit ({type(error).__name__}: {str(error)[:200]}); --debug shows more\n"
        )
        sys.exit(4)


if __name__ == "__main__":
    run()
