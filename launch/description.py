"""What an examination finds out about a model, as JSON: it crosses from the model's environment to the project's.

The model itself stays behind: SQL, pages and reports need its signature, its functions and its example.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from serving.json_type import encode
from serving.model import PLAN_DIFFERS, Model, ModelInfo
from serving.signature import Column, Output, Parameter, Signature, Tensor


@dataclass(frozen=True)
class Description:
    """A model as SQL sees it, rows as argument lists, and the predictions of its own library for them.

    `model` can't predict. `made_up` says that the rows were made from the signature, because the model has no usable
    input example; `float32` that an output has single precision. `memory` is what the process had for itself once the
    model was loaded, in bytes; 0 if the system doesn't tell.
    """

    model: Model
    rows: Sequence[Sequence[Any]]
    predictions: Sequence[Any]
    made_up: bool = False
    float32: bool = False
    memory: int = 0

    @property
    def settings(self) -> dict[str, str]:
        """The function's settings that follow from the examination.

        An instance compares fewer rows, so it might not find out that a plan differs.
        """
        return {"MODEL_PLAN": "off"} if self.model.info.answers.startswith(PLAN_DIFFERS) else {}

    def to_json(self) -> str:
        """Return the description as a JSON text, with NaN and Infinity as Python writes them.

        What JSON lacks, such as bytes and timestamps, is written as the function answers it.
        """
        model = self.model
        return json.dumps(
            {
                "info": model.info.as_dict(),
                "signature": asdict(model.signature),
                "outputs": None if model.outputs is None else [asdict(output) for output in model.outputs],
                "classes": [str(label) for label in model.classes] if model.probabilities else None,
                "notes": model.notes,
                "rows": self.rows,
                "predictions": self.predictions,
                "made_up": self.made_up,
                "float32": self.float32,
                "memory": self.memory,
            },
            default=encode,
        )

    @classmethod
    def parse(cls, text: str) -> "Description":
        """Read what `to_json` wrote."""
        found = json.loads(text)
        model = Model(
            info=ModelInfo(**found["info"]),
            signature=_signature(found["signature"]),
            predictor=_is_elsewhere,
            probabilities=None if found["classes"] is None else _is_elsewhere,
            classes=found["classes"] or (),
            example=found["rows"],
            outputs=_outputs(found["outputs"]),
            notes=found["notes"],
        )
        return cls(model, found["rows"], found["predictions"], found["made_up"], found["float32"], found["memory"])


def _signature(found: Mapping[str, Any]) -> Signature:
    tensors = ({**each, "shape": tuple(each["shape"]), "columns": tuple(each["columns"])} for each in found["tensors"])
    return Signature(
        columns=tuple(Column(**each) for each in found["columns"]),
        outputs=_outputs(found["outputs"]),
        parameters=tuple(Parameter(**each) for each in found["parameters"]),
        tensors=tuple(Tensor(**each) for each in tensors),
        named=found["named"],
    )


def _outputs(found: Sequence[Mapping[str, Any]] | None) -> tuple[Output, ...] | None:
    return None if found is None else tuple(Output(**each) for each in found)


def _is_elsewhere(*_: Any) -> Any:
    raise NotImplementedError("The model is in its own environment; this is what is known about it.")
