"""Starting workers without importing what they import."""

from __future__ import annotations

from multiprocessing.connection import Connection

from medaudit.engine.pool import Worker


def serve(pipe: Connection) -> None:
    """Entry point of a spawned worker; onnxruntime is imported here and nowhere in the parent."""
    from medaudit.audit.worker import main

    main(pipe)


def start_worker() -> Worker:
    return Worker(serve)
