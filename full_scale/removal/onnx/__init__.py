"""ONNX files as networks that can be audited and shrunk, and written back as the same graph with smaller tensors.

An exact removal changes the sizes of tensors that the file holds, and a few constants that state such sizes. So a smaller
file is the original's graph with other tensors: names, opset, dynamic sizes and everything that is not covered stay as they
are, and nothing passes through an exporter. What runs in between is a table of operations of our own (`operations`), because
removal needs parameters under names and must know which of a file's tensors each of them is, which converters do not tell.

Imports the rest of `removal`; the package onnx is imported when a file is read.
"""
