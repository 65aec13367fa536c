"""ONNX graphs as graphs of ATen calls, one table of operations a file.

Written here rather than left to a converter of modules, because the result is captured: sizes must stay free of the
batch, names of nodes must not reach generated code, and what torch's own exporter writes today (opset 18 and later)
must be read.
"""
