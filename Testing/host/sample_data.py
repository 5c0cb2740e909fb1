"""What Slicer's Sample Data module does with data sets that other modules offer."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer


class SampleDataLogic:
    """Knows the offered data sets by category, as `slicer.modules.sampleDataSources` in Slicer."""

    sources: dict[str, list[dict[str, Any]]] = {}

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: str | None = None,
        fileNames: str | None = None,
        nodeNames: str | None = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFiles: Any = None,
        loadFileProperties: Any = None,
        checksums: str | None = None,
        loadFileType: Any = None,
    ) -> None:
        source = {
            "name": sampleName,
            "uri": uris,
            "file": fileNames,
            "node": nodeNames,
            "checksum": checksums,
            "thumbnail": thumbnailFileName,
        }
        known = SampleDataLogic.sources.setdefault(category, [])
        if source not in known:
            known.append(source)

    def downloadSample(self, sampleName: str) -> Any:
        """Download a data set into Slicer's folder for temporary files, check it and load it as a volume."""
        source = next(one for of in self.sources.values() for one in of if one["name"] == sampleName)
        path = Path(slicer.app.temporaryPath) / source["file"]
        urllib.request.urlretrieve(source["uri"], path)
        algorithm, digest = source["checksum"].split(":")
        assert hashlib.new(algorithm, path.read_bytes()).hexdigest() == digest, f"checksum of {path}"
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", source["node"])
        assert storage.ReadData(node), path
        node.CreateDefaultDisplayNodes()
        return node


def sample_data_module() -> ModuleType:
    """`SampleData`, with nothing offered yet."""
    module = ModuleType("SampleData")
    SampleDataLogic.sources = {}
    module.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
    return module
