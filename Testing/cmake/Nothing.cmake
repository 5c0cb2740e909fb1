# Stands for the files of Slicer that an extension includes and that do not matter for its list of files.
