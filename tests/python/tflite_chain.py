"""Writes a .tflite model operator behind operator.

    chain = Chain("name", Tensor([1, 8], name="x"))
    chain.append("TANH", [chain.last], Tensor([1, 8]))
    content = chain.finish("description")
"""

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from tflite_models import Tensor
from tflite_models import _Writer as Writer


class Chain:
    """A model of one input; `last` is the index of the newest result."""

    def __init__(self, name, x):
        self.writer = Writer()
        self.writer.model.version = 3
        self.writer.model.buffers = [schema.BufferT()]
        self.writer.model.operatorCodes = []
        self.writer.graph.name = name
        self.writer.graph.tensors = []
        self.writer.graph.operators = []
        self.last = self.add(x)
        self.writer.graph.inputs = [self.last]

    def add(self, tensor):
        return self.writer.add(tensor, len(self.writer.graph.tensors))

    def append(self, op, operands, output, options=None, version=1):
        """The index of the result. `operands`: a Tensor, an index, or None for
        an absent one."""
        return self.append_all(op, operands, [output], options, version)[0]

    def append_all(self, op, operands, outputs, options=None, version=1):
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(op, version)
        operator.inputs = [
            -1 if t is None else self.add(t) if isinstance(t, Tensor) else t
            for t in operands
        ]
        operator.outputs = [self.add(t) for t in outputs]
        self.last = operator.outputs[-1]
        if options is not None:
            operator.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        self.writer.graph.operators.append(operator)
        return operator.outputs

    def _code(self, op, version):
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, op)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        codes = self.writer.model.operatorCodes
        for i, known in enumerate(codes):
            if known.builtinCode == code.builtinCode:
                return i
        codes.append(code)
        return len(codes) - 1

    def finish(self, description):
        model = self.writer.model
        self.writer.graph.outputs = [self.last]
        model.description = description
        model.subgraphs = [self.writer.graph]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
