"""Writing a matrix into the folder of its report."""

from __future__ import annotations

from pathlib import Path

from harness.report.files import (
    JUNIT_NAME,
    make_folder,
    write_text,
)
from harness.report.matrix.html import matrix_page
from harness.report.matrix.junit import matrix_junit
from harness.report.matrix.report import (
    Matrix,
    to_json,
)

MATRIX_JSON_NAME = "matrix.json"
MATRIX_HTML_NAME = "matrix.html"


def write_matrix(directory: Path, matrix: Matrix) -> Path:
    """Write ``matrix.json``, ``junit.xml`` and ``matrix.html``; returns the page. Raises ReportError."""
    make_folder(directory)
    write_text(directory / MATRIX_JSON_NAME, to_json(matrix))
    write_text(directory / JUNIT_NAME, matrix_junit(matrix))
    write_text(directory / MATRIX_HTML_NAME, matrix_page(matrix))
    return directory / MATRIX_HTML_NAME
