"""Ops that Inductor leaves to a library on purpose: cuDNN, oneDNN, cuBLAS, MKL, LAPACK, NCCL have the kernel for them.

A fallback to one of these is how it is meant to be; of any other op it says that the graph is left for eager's kernel
(`make_fallback` and `FALLBACK_ALLOW_LIST` in torch/_inductor/lowering.py).
"""

from __future__ import annotations

import re

_HARMLESS = re.compile(
    r"""(?:
      aten\.(?:
        _?(?:convolution|conv_depthwise|conv_transpose|slow_conv|thnn_conv)\w*  # convolution
      | (?:cudnn|miopen|mkldnn)_\w+
      | _?(?:scaled_dot_product|flash_attention|efficient_attention|cudnn_attention)\w*
      | (?:mm|addmm|bmm|baddbmm|addbmm|mv|addmv|dot|vdot|linear|linear_backward|_addmm_activation)
      | _(?:int_mm|scaled_mm\w*|grouped_mm|scaled_grouped_mm\w*|sparse_semi_structured\w*)
      | (?:_cudnn_rnn|miopen_rnn|_thnn_fused_lstm_cell|lstm|gru)\w*
      | _?(?:fft|linalg)_\w+
      | (?:cholesky_\w+|triangular_solve|lu_unpack|ormqr|geqrf|_linalg_\w+)
      | (?:randint|_assert_scalar|_assert_async|sym_\w+)
      )
    | (?:_c10d_functional|c10d_functional|_dtensor|mkldnn|onednn|quantized|inductor|inductor_prims|streams)\.\w+
    )(?:\.\w+)?\Z""",
    re.X,
)


def is_harmless(op: str) -> bool:
    """Whether a library's kernel is meant for `op`.

    >>> is_harmless("aten.convolution.default"), is_harmless("aten.nonzero.default")
    (True, False)
    """
    return _HARMLESS.match(op[:200]) is not None
