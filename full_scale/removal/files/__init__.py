"""Smaller networks as files: safetensors with their surgery, `torch.export`, ONNX.

Imports the rest of `removal`.
"""
