"""The experiments of this layer: every public function in a module here is one; its first docstring line is its summary.

Most take a `preset`: `demo` runs on the embedded digits within minutes, `short` on 16 × 16 photographs (about 100 cpu-seconds a
run), `paper` in the papers' own protocol (for a GPU).
"""
