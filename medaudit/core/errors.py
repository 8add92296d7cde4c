"""The errors a user can meet, each with its exit code.

MedauditError            exit 2    one sentence: place, fault, remedy
├── PolicyError                    file, line, column
├── ModelError                     the model file cannot be audited
├── DataError                      the data file cannot be used
├── RunError                       the run folder: other fingerprint, finished, not a run
├── ModelFault                     the model misbehaved while it ran: a finding about the model
└── EngineError                    a fault of ours or of the machine: verdict "error", never "pass"
    └── WorkerLost                 a worker died or hung, perhaps by what the model was asked
"""

from __future__ import annotations

WIDEST = 160  # characters of a source line that are shown


class MedauditError(Exception):
    """Base of all errors shown to users; `message` is one sentence, `hint` the remedy."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), dict(self.__dict__)))


def _rebuild(kind: type[MedauditError], fields: dict[str, object]) -> MedauditError:
    error = kind.__new__(kind)
    error.__dict__.update(fields)
    error.args = (fields["message"],)
    return error


class PolicyError(MedauditError):
    """A policy that cannot be used; prints as file:line:column with the line under it."""

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        line: int = 0,
        column: int = 0,
        source: str = "",
        path: str = "",
    ) -> None:
        super().__init__(message)
        self.file, self.line, self.column = file, line, column
        self.source, self.path = source, path

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        text = (place if self.file else "") + self.message
        if self.source:
            pad = " " * len(str(self.line))
            first = max(0, self.column - WIDEST // 2)  # of a very long line, the part around the place
            caret = " " * (self.column - 1 - first) + "^" + (f" {self.path}" if self.path else "")
            text += f"\n{pad} |\n{self.line} | {self.source[first : first + WIDEST]}\n{pad} | {caret}"
        return text


class PolicyErrors(MedauditError):
    """Every problem of one policy file at once."""

    def __init__(self, problems: list[PolicyError]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


class ModelError(MedauditError):
    """The model file cannot be read, loaded or understood."""


class DataError(MedauditError):
    """The data file cannot be read or does not fit the model."""


class RunError(MedauditError):
    """The run folder cannot be used."""


class ModelFault(MedauditError):
    """The model failed while answering: a finding about the model."""


class EngineError(MedauditError):
    """A fault of medaudit or of the machine."""

    exit_code = 4


class WorkerLost(EngineError):
    """A worker process died, or gave no answer in time."""
