"""What a model says of each case of a night, as a table."""

from __future__ import annotations

import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID, NIGHT

#: What the model says of each case of a night; `problem` says why it may not decide, then there are no
#: probabilities. Probabilities stand in the order of the spec's labels.
SCORES = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field(CASE_ID, pa.string(), nullable=False),
        pa.field("probabilities", pa.list_(pa.float64())),
        pa.field("confidence", pa.float64()),
        pa.field("reasons", pa.list_(pa.string())),
        pa.field("problem", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("model_night", pa.string()),
    ]
)
