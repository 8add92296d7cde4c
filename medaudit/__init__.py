"""medaudit: audit any exported ONNX medical model as a black box."""

__version__ = "0.1.0"
