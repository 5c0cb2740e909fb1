"""A stand-in for the parts of Slicer's Python and Qt environment that the module uses, in PySide6 over a real scene.

PySide6 and slicer-core must be there; `QT_QPA_PLATFORM=offscreen` lets it run without a screen.
"""
