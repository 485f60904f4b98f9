"""What `dagster api execute_run` is made of, for a process that executes more than one run (`serving.run_slot`)."""

from __future__ import annotations

from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin
from dagster._grpc.impl import core_execute_run
from dagster._utils.hosted_user_process import recon_job_from_origin
from dagster._utils.interrupts import capture_interrupts, pop_captured_interrupt

__all__ = [
    "JobPythonOrigin",
    "ModuleCodePointer",
    "capture_interrupts",
    "core_execute_run",
    "pop_captured_interrupt",
    "recon_job_from_origin",
]
