"""What the processor can do, read without importing anything heavy."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path

#: Instructions on which the arithmetic of engines depends.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
#: oneDNN, which multiplies for torch, may be told to leave instructions out.
ONEDNN_LIMIT = "ONEDNN_MAX_CPU_ISA"
_BF16_LIMITS = ("BF16", "FP16", "AMX", "AVX10", "DEFAULT", "ALL")


def has_bfloat16_units() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (AMX or AVX-512 BF16) and oneDNN may use it; elsewhere
    torch would emulate it."""
    return bfloat16_units(_flags(), os.environ.get(ONEDNN_LIMIT, ""))


def bfloat16_units(flags: frozenset[str], limit: str) -> bool:
    """The same of these flags, under this limit of oneDNN (empty for none)."""
    return bool(flags & _BF16_FLAGS) and (not limit or any(part in limit.upper() for part in _BF16_LIMITS))


def cores() -> int:
    """Cores that this process may use, at most `OMP_NUM_THREADS`."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(there, int(limit))) if limit.isdigit() else there


def machine_kind() -> str:
    """Names machines whose arithmetic is the same: processor, its instructions, and which of them may be used."""
    flags = sorted(_flags() & set(_FLAGS))
    parts = [platform.machine(), _model(), *flags, os.environ.get(ONEDNN_LIMIT, "")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def _cpuinfo() -> dict[str, str]:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    parts = (line.partition(":") for line in reversed(lines))
    return {name.strip(): value.strip() for name, _, value in parts}


def _flags() -> frozenset[str]:
    lines = _cpuinfo()
    return frozenset((lines.get("flags") or lines.get("Features") or "").split())


def _model() -> str:
    return _cpuinfo().get("model name") or platform.processor()
