"""Another machine, imitated on this one."""

#: A plainer processor: no AVX-512 in numpy, no vector units in torch, another kernel of OpenBLAS, one thread. What a
#: machine does not have anyway is passed over.
PLAIN = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Haswell",
    "OMP_NUM_THREADS": "1",
}
