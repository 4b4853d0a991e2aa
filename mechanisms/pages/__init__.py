"""Markdown pages whose tables and numbers are written from records: marks in a page, the answers, and the rewriting.

May import `mechanisms.claims`, `.measures`, `.records` and `.sweeps`; nothing imports it but commands and the report.
"""
