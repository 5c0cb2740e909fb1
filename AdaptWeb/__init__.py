"""The panel of the Slicer module as a page in the browser, on Slicer's own core: see docs/web.md."""
